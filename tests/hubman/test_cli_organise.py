"""The commands that organise: what they change, ask, take back and say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hubman.cli.main import run
from tests.support.civitai import write_lora

pytestmark = pytest.mark.usefixtures("home")


def test_edits_and_tags_are_kept_and_found(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["edit", "ink wash", "rating=4", "strength=0.7", "notes=for client A"]) == 0
    assert run(["tag", "ink wash", "+ink", "mono"]) == 0
    assert run(["tag", "ink wash", "-mono"]) == 0
    capsys.readouterr()
    assert run(["ls", "rating:>=4", "tag:ink", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["rating"], row["strength"], row["tags"]) == (4, 0.7, ["ink"])


def test_a_tag_with_any_letter_can_be_taken_away(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tag", "ink wash", "+hatching", "+inkwash"]) == 0
    assert run(["tag", "ink wash", "+mine", "-hatching", "-inkwash"]) == 0
    capsys.readouterr()
    assert run(["ls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["tags"] == ["mine"]


def test_what_lies_in_the_trash_is_not_said_to_be_on_another_machine(
    scanned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["trash", "ink wash", "--files", "--yes", "--last-copy", "ink wash"]) == 0
    capsys.readouterr()
    assert run(["ls", "is:trash", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["flags"] == "T"
    assert run(["show", "ink wash"]) == 0
    assert "(trash)" in capsys.readouterr().out


def test_a_trashed_model_is_hidden_until_restored(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trash", "ink wash"]) == 0
    capsys.readouterr()
    assert run(["ls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert (scanned / "ink wash.safetensors").exists()
    assert run(["restore", "ink wash"]) == 0
    capsys.readouterr()
    assert run(["ls", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_undo_and_journal_show_and_take_back_what_was_done(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["edit", "ink wash", "rating=4"]) == 0
    assert run(["edit", "ink wash", "notes=soft"]) == 0
    capsys.readouterr()
    assert run(["undo", "--dry-run"]) == 0
    assert capsys.readouterr().out == "would take back: notes of ink wash\n"
    assert run(["undo", "1"]) == 0
    assert capsys.readouterr().out == "took back: rating of ink wash\n"
    assert run(["journal", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [(entry["verb"], entry["undone_by"]) for entry in entries] == [("undo", None), ("edit", None), ("edit", 3)]
    assert run(["undo", "3"]) == 0
    assert capsys.readouterr().out == "did again: rating of ink wash\n"
    assert run(["show", "ink wash", "--json"]) == 0
    model = json.loads(capsys.readouterr().out)
    assert (model["rating"], model["notes"]) == (4, "soft")


def test_undo_says_what_it_left_alone(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["edit", "ink wash", "rating=4", "notes=soft"]) == 0
    assert run(["edit", "ink wash", "rating=5"]) == 0
    capsys.readouterr()
    assert run(["undo", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "took back: rating, notes of ink wash",
        "stays: rating of ink wash was edited later",
    ]


def test_an_edit_of_a_query_shows_its_plan_and_wants_a_yes(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lora(scanned / "clay.safetensors", seed=2)
    assert run(["scan", str(scanned)]) == 0
    assert run(["edit", "clay", "rating=4"]) == 0
    capsys.readouterr()
    words = ["edit", "--query", "", "rating=4"]
    assert run([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out == "ink wash\trating\t0\t4\n", "only what would change stands in the plan"
    assert run(words) == 2
    assert "--yes" in capsys.readouterr().err
    assert run([*words, "--yes"]) == 0
    assert run(["tag", "--query", "rating:4", "+ink", "--yes"]) == 0
    capsys.readouterr()
    assert run(["ls", "tag:ink", "rating:4", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert run(["undo"]) == 0
    assert run(["undo"]) == 0
    capsys.readouterr()
    assert run(["ls", "rating:4", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["clay"]


def test_collections_are_made_filled_and_listed(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["collection", "new", "Clients/A"]) == 0
    assert run(["collection", "add", "Clients/A", "ink wash"]) == 0
    assert run(["collection", "rename", "Clients/A", "Acme"]) == 0
    capsys.readouterr()
    assert run(["collection", "ls", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["path"], one["total"]) for one in found] == [("Clients", 1), ("Clients/Acme", 1)]
    assert run(["collection", "show", "Clients"]) == 0
    assert capsys.readouterr().out.split("\t")[:2] == ["ink wash", "Clients/Acme"]
    assert run(["collection", "move", "Clients/Acme", "/"]) == 0
    assert run(["collection", "rm", "Acme", "--query", "ink"]) == 0
    assert run(["collection", "rm", "Acme", "--dry-run"]) == 0
    assert run(["collection", "rm", "Acme"]) == 2
    assert run(["collection", "rm", "Acme", "--yes"]) == 0
    capsys.readouterr()
    assert run(["collection", "ls"]) == 0
    assert capsys.readouterr().out == "Clients\t0\t0\n"


def test_files_go_into_the_trash_after_a_yes_and_come_back(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = scanned / "ink wash.safetensors"
    (scanned / "ink wash.txt").write_text("a note")
    capsys.readouterr()
    assert run(["trash", "ink wash", "--files", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(file), str(scanned / "ink wash.txt")]
    assert run(["trash", "--files", "ink wash"]) == 2
    assert file.exists()
    assert run(["trash", "--files", "ink wash", "--yes"]) == 0
    assert not file.exists()
    capsys.readouterr()
    assert run(["trash", "ls", "--json"]) == 0
    assert {one["original"] for one in json.loads(capsys.readouterr().out)} == {
        str(file),
        str(scanned / "ink wash.txt"),
    }
    assert run(["restore", "ink wash"]) == 0
    assert file.exists()
    assert run(["trash", "purge", "--yes"]) == 1
    assert run(["trash", "ink wash", "--files", "--yes"]) == 0
    assert run(["trash", "purge"]) == 2
    assert run(["trash", "purge", "ink wash", "--yes"]) == 0
    assert run(["restore", "ink wash"]) == 0
    assert not file.exists()


def test_duplicates_are_listed_and_reduced_after_a_yes(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lora(scanned / "copy.safetensors", seed=1)
    assert run(["scan", str(scanned)]) == 0
    capsys.readouterr()
    assert run(["dupes", "--json"]) == 0
    assert [one["kind"] for one in json.loads(capsys.readouterr().out)] == ["content"]
    words = ["dupes", "--resolve", "keep-shortest-path"]
    assert run([*words, "--dry-run"]) == 0
    assert [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()] == ["keep", "trash"]
    assert run(words) == 2
    assert len(list(scanned.glob("*.safetensors"))) == 2
    assert run([*words, "--yes"]) == 0
    assert [path.name for path in scanned.glob("*.safetensors")] == ["copy.safetensors"]
    assert run(["undo"]) == 0
    assert len(list(scanned.glob("*.safetensors"))) == 2


def test_the_last_copy_of_a_file_goes_only_by_its_name(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lora(scanned / "copy.safetensors", seed=1)
    assert run(["scan", str(scanned)]) == 0
    name = json.loads(_printed(capsys, ["ls", "--json"]))[0]["name"]
    assert run(["trash", name, "--files", "--yes"]) == 2
    assert "--last-copy" in capsys.readouterr().err
    assert len(list(scanned.glob("*.safetensors"))) == 2
    assert run(["trash", name, "--files", "--yes", "--last-copy", name]) == 0
    assert list(scanned.glob("*.safetensors")) == []


def _printed(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    capsys.readouterr()
    assert run(words) == 0
    return capsys.readouterr().out


def test_a_model_is_renamed_with_its_files_after_a_yes(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["rename", "ink wash", "Ink", "--files"]
    printed = _printed(capsys, [*words, "--dry-run"])
    assert printed.rstrip("\n").split("\t")[:2] == [
        str(scanned / "ink wash.safetensors"),
        str(scanned / "Ink.safetensors"),
    ]
    assert run(words) == 2
    assert run([*words, "--yes"]) == 0
    assert [path.name for path in scanned.iterdir()] == ["Ink.safetensors"]
    assert run(["undo"]) == 0
    assert [path.name for path in scanned.iterdir()] == ["ink wash.safetensors"]
    assert run(["rename", "ink wash", "Ink"]) == 0
    assert _printed(capsys, ["rename", "Ink", " Ink "]) == "it was called so already\n"


def test_trigger_groups_are_edited_and_shown(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["edit", "ink wash", "trigger_groups=optional: wet paper; outfit: red coat"]) == 0
    printed = _printed(capsys, ["show", "ink wash"])
    assert "triggers wet paper, red coat" in printed
    assert "groups   optional: wet paper; outfit: red coat" in printed
    assert run(["edit", "ink wash", "trigger_groups=red coat"]) == 2


def test_files_go_into_another_indexed_folder(
    scanned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["organise", "--template", "{name}", "--into", str(tmp_path / "nas"), "--yes"]
    (tmp_path / "nas").mkdir()
    assert run(words) == 2
    assert run(["root", "add", str(tmp_path / "nas")]) == 0
    assert run(words) == 0
    assert [path.name for path in (tmp_path / "nas").iterdir()] == ["ink wash.safetensors"]


def test_files_are_organised_after_a_yes(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["root", "add", str(scanned)])
    words = ["organise", "--template", "{type}/{hash8}-{name}"]
    capsys.readouterr()
    assert run([*words, "--dry-run"]) == 0
    source, target, conflict = capsys.readouterr().out.rstrip("\n").split("\t")
    assert (Path(source), conflict) == (scanned / "ink wash.safetensors", "")
    assert run(words) == 2
    assert Path(source).exists()
    assert run([*words, "--yes"]) == 0
    assert Path(target).exists()
    assert run(["undo"]) == 0
    assert Path(source).exists()


def test_views_are_saved_renamed_listed_and_removed(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["view", "save", "mine-inks", "ink", "-tag:old"]) == 0
    assert run(["view", "rename", "mine-inks", "inks"]) == 0
    capsys.readouterr()
    assert run(["view", "ls", "--json"]) == 0
    views = json.loads(capsys.readouterr().out)
    assert [view["name"] for view in views if view["built_in"]] == [
        "unused",
        "dupes",
        "updates",
        "mine",
        "untested",
        "stale",
    ]
    assert views[-1] == {"name": "inks", "query": "ink -tag:old", "built_in": False}
    assert run(["ls", "@inks", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert run(["view", "rm", "inks"]) == 0
    assert run(["ls", "@inks"]) == 2
    assert "there is no view @inks" in capsys.readouterr().err
    assert run(["view", "rm", "inks"]) == 1
    assert run(["view", "save", "bad", "raing:4"]) == 2


def test_a_trash_without_files_says_where_the_models_are(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trash", "ink wash"]) == 0
    capsys.readouterr()
    assert run(["trash", "ls"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, "hubman ls is:trash" in shown.err) == ("", True)
