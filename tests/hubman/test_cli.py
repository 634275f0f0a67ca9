"""Commands as a person and a program meet them: what they print, where, and with which exit status."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hubman.cli import output
from hubman.cli.main import COMMANDS, cli, run
from hubman.jobs import store
from registry import database, library, previews
from registry.database import Registry
from tests.support.civitai import write_lora, write_png
from tests.support.library import add_entry

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("home")


def test_every_command_has_help_and_stands_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text()
    for name in COMMANDS:
        assert run([name, "--help"]) == 0, name
        assert capsys.readouterr().out.startswith("Usage: hubman"), name
        assert f"{name} " in readme or f"{name}`" in readme, name


def test_the_help_of_a_command_matches_its_line_in_the_list() -> None:
    assert all(cli.get_command(cli.make_context("hubman", ["ls"]), name) for name in COMMANDS)


def test_scan_then_ls_shows_the_file(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["ls", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["name"] == "ink wash"


def test_the_terminal_ui_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "needs a terminal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["show", "nobody"], 1),
        (["edit", "ink wash", "rating"], 2),
        (["edit", "ink wash", "rating=9"], 2),
        (["edit", "ink wash", "colour=red"], 2),
        (["root", "add", "/no/such/folder"], 2),
        (["job", "attach", "nobody"], 1),
        (["pull", "--sandbox", "1"], 1),
        (["train"], 2),
        (["train", "--dataset", "/no/such/folder"], None),
        (["generate", "a circle", "--size", "big"], 2),
        (["sync"], 1),
        (["inspect", "/no/such/file"], None),
        (["nonsense"], 2),
        (["undo"], 1),
        (["organise"], 2),
        (["organise", "--template", "{nonsense}"], 2),
        (["rename", "ink wash"], 2),
        (["rename", "ink wash", " "], 2),
        (["updates", "nobody"], 1),
        (["dupes", "--resolve", "all"], 2),
        (["collection", "show", "nowhere"], 1),
        (["collection", "add", "nowhere"], 2),
        (["collection", "new", "//"], 2),
        (["edit", "--query", "nonsense:1", "rating=4"], 2),
        (["tag", "ink wash"], 2),
        (["undo", "77"], 1),
        (["undo", "first"], 2),
        (["jobs", "--nonsense"], 2),
        (["edit", "ink wash"], 2),
        (["sweep"], 2),
        (["train", "--preset", "nonsense"], 2),
    ],
)
def test_a_mistake_gets_one_line_on_stderr(
    scanned: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int | None
) -> None:
    capsys.readouterr()
    found = run(words)
    assert found == status if status is not None else found in {1, 2}
    printed = capsys.readouterr()
    assert printed.out == ""
    line, *pointer = printed.err.splitlines()
    assert line.startswith("hubman: ")
    assert len(pointer) == (2 if "nonsense:1" in words else 0), "a query is shown with carets under its wrong part"


@pytest.mark.parametrize(
    "words", [["show", "ink\udcff"], ["edit", "ink wash", "notes=\udcff"], ["tag", "ink wash", "\udcff"]]
)
def test_words_that_are_no_text_are_refused(
    scanned: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    capsys.readouterr()
    assert run(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hubman: ")


def test_a_model_is_named_by_a_relative_path_too(scanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(scanned)
    assert run(["show", "./ink wash.safetensors"]) == 0
    assert run(["show", "ink wash.safetensors"]) == 0


def test_a_base_with_a_damaged_config_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "base"
    (base / "unet").mkdir(parents=True)
    (base / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (tmp_path / "set").mkdir()
    write_png(tmp_path / "set" / "a.png")
    for config in ("no json", "[]"):
        (base / "unet" / "config.json").write_text(config)
        capsys.readouterr()
        assert run(["train", "--dataset", str(tmp_path / "set"), "--base", str(base)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "config.json can't be read" in line


def test_ctrl_c_while_watching_says_how_the_job_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "spawn", lambda *_: None)
    monkeypatch.setattr(store, "follow", interrupted)
    assert run(["dataset", "caption", str(tmp_path)]) == 1
    assert "goes on by itself: hubman job attach" in capsys.readouterr().err


@pytest.mark.parametrize(("state", "promise"), [("failed", "tries it again"), ("cancelled", "goes on")])
def test_a_job_that_failed_is_not_promised_to_go_on(
    monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str], state: str, promise: str
) -> None:
    monkeypatch.setattr(store, "spawn", lambda *_: None)
    with Registry(home) as registry:
        job = store.start(registry, "merge", "merge", {})
        store.finish(registry, job.id, state, error="the file would change nothing" if state == "failed" else None)
    assert run(["job", "attach", job.id]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert told.endswith(f"hubman job resume {job.id[-6:]} {promise}")


def test_a_registry_that_another_program_holds_is_said_in_one_line(
    scanned: Path, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0)
    capsys.readouterr()
    with contextlib.closing(sqlite3.connect(home / "registry.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert run(["edit", "ink wash", "rating=4"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hubman: the registry can't be used now (database is locked)")


def test_names_from_outside_do_not_steer_the_terminal() -> None:
    assert output.clean("a\x1b[31mred\x07\nb\u202ec") == "a[31mred bc"


def test_a_pipe_gets_no_colour_and_no_bar(scanned: Path) -> None:
    environment = {**os.environ, "FORCE_COLOR": ""}
    done = subprocess.run(
        [sys.executable, "-m", "hubman.cli.main", "ls"], env=environment, capture_output=True, text=True, check=True
    )
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout.split("\t")[0] == "ink wash"


def test_commands_that_do_not_draw_load_no_torch(scanned: Path) -> None:
    script = (
        "import sys; from hubman.cli.main import run; "
        "[run(words) for words in (['ls'], ['jobs'], ['doctor'], ['show', 'ink wash'], ['remote', 'ls'], ['dataset', 'show', '.'])]; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'diffusers', 'transformers', 'textual')))"
    )
    subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        cwd=scanned,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_preset_adds_a_programs_model_folders_and_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "ComfyUI"
    write_lora(base / "models" / "loras" / "a.safetensors", seed=1)
    (base / "custom_nodes").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["root", "find", "--json"]) == 0
    assert str(base) in [one["base"] for one in json.loads(capsys.readouterr().out)]
    assert run(["root", "find"]) == 0
    assert f"hubman root add --preset comfyui {base}" in capsys.readouterr().out
    assert run(["root", "add", "--preset", "comfyui", str(base)]) == 0
    assert f"added {base / 'models' / 'loras'} (lora)" in capsys.readouterr().out
    assert run(["root", "add", "--preset", "ComfyUI", str(base), "--json"]) == 0
    assert [one["is_new"] for one in json.loads(capsys.readouterr().out)] == [False]
    assert run(["root", "add", "--preset", "swarmui", str(base)]) == 2
    assert run(["scan"]) == 0
    assert run(["show", "a"]) == 0


def test_verify_fails_when_something_is_found_and_says_it(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify"]) == 0
    assert "1 sound, 0 not" in capsys.readouterr().out
    path = write_lora(scanned / "broken.safetensors", seed=2)
    path.write_bytes(path.read_bytes()[:-2] + b"\xff\x7f")
    assert run(["scan"]) == 0
    capsys.readouterr()
    assert run(["verify", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["path"], finding["kind"]) == (str(path), "weights")
    assert run(["verify", "ink"]) == 0
    assert run(["verify", "nofield:x"]) == 2
    capsys.readouterr()
    assert run(["show", "broken"]) == 0
    assert "NaN" in capsys.readouterr().out


def test_a_bad_query_is_shown_with_carets_under_its_wrong_part(
    scanned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["ls", "日本", "raing:4", "ink", "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    message, line, carets = printed.err.splitlines()
    assert message == "hubman: there is no field raing: did you mean rating:?"
    assert line == "日本 raing:4 ink"
    assert carets == "     ^^^^^", "wide characters take two cells"


def test_a_negated_term_is_no_option(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["ls", "-hair", "-tag:anime", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert run(["ls", "-ink", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_models_that_civitai_does_not_know_are_named(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["updates", "ink wash"]) == 0
    said = capsys.readouterr().err
    assert "not known on Civitai: ink wash" in said
    assert "newest version" not in said


def test_facets_count_what_matches(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["tag", "ink wash", "+ink"])
    capsys.readouterr()
    assert run(["facets", "ink", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tag"] == [{"value": "ink", "count": 1}]
    assert run(["facets", "-ink"]) == 0
    assert "tag" not in capsys.readouterr().out


def test_show_tells_licence_lineage_and_who_says_so(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = {"ss_output_name": "ink", "ss_steps": "800", "ss_sd_model_name": "pony.safetensors", "ss_session_id": "7"}
    with Registry(home) as registry:
        permissions = {"allowNoCredit": False, "allowCommercialUse": ["Sell"]}
        version = add_entry(registry, "ink", facts={"base_model": "Pony"}, metadata=header)
        library.set_facts(registry, version, "civitai", {"permissions": permissions})
    assert run(["show", "ink"]) == 0
    told = capsys.readouterr().out
    assert "licence    ---S?  credit the creator · allowed: sell it" in told
    assert "Pony (user)" in told
    assert "trained  ink" in told
    assert "on       pony.safetensors" in told
    assert run(["show", "ink", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["licence"]["derivatives"] is None
    assert document["versions"][0]["lineage"]["steps"] == 800


def test_the_level_of_a_picture_is_said_and_taken_back(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Registry(home) as registry:
        version = add_entry(registry, "ink")
        previews.add_preview(registry, version, write_png(tmp_path / "a.png"), nsfw_level=2)

    def levels() -> list[str]:
        assert run(["preview", "ls", "ink"]) == 0
        return [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()]

    assert levels() == ["PG-13"]
    assert run(["preview", "level", "ink", "1", "xxx"]) == 0
    capsys.readouterr()
    assert levels() == ["XXX"]
    assert run(["preview", "level", "ink", "1", "none"]) == 0
    capsys.readouterr()
    assert levels() == ["PG-13"]
    assert run(["preview", "level", "ink", "2", "r"]) == 2
    assert run(["preview", "level", "ink", "1", "rather rude"]) == 2


def test_doctor_names_a_wrong_setting(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir(parents=True)
    (home / "config.toml").write_text('pictures = "sixl"\n')
    assert run(["doctor", "--json"]) == 0
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert "sixl" in found["settings"]["what"]
    assert "quadrant blocks" in found["pictures"]["what"]
    assert found["video"]["ok"]


@pytest.mark.parametrize(
    "words", [["root", "add", ""], ["root", "rm", ""], ["scan", ""], ["images", "add", ""], ["import", ""]]
)
def test_an_empty_path_is_not_the_current_folder(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    assert "an empty name is no path" in capsys.readouterr().err
    assert run(["root", "ls"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("group", ["collection", "sidecar", "images", "preview", "view", "root", "remote"])
def test_a_group_without_a_command_shows_its_help(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([group]) == 2
    shown = capsys.readouterr()
    assert run([group, "--help"]) == 0
    assert (shown.out + shown.err).strip() == capsys.readouterr().out.strip()


def test_a_model_with_several_files_is_named_once_where_a_name_means_several(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Registry(home) as registry:
        first, second = (add_entry(registry, "ink", content=content) for content in "ab")
        third = add_entry(registry, "ink", content="c", facts={"model": first})
        assert library.version(registry, third).model_id == first
    assert run(["show", "ink"]) == 2
    names = ", ".join(f"ink ({model[:8]})" for model in sorted((first, second)))
    assert f"ink means 2 models: {names}: use the id" in capsys.readouterr().err


def test_export_names_the_folder_that_was_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "-o", str(tmp_path / "nope" / "x")]) == 1
    assert (
        capsys.readouterr().err
        == f"hubman: {tmp_path}/nope is no folder: make it, or name a file in one that is there\n"
    )
    assert run(["export", "-o", str(tmp_path)]) == 1
    assert f"{tmp_path} is a folder" in capsys.readouterr().err


def test_what_is_not_known_of_a_file_is_not_shown_as_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()
    (folder / "old.pt").write_bytes(b"a pickle")
    (folder / "cut.safetensors").write_bytes(b"\x10")
    assert run(["scan", str(folder)]) == 0
    capsys.readouterr()
    for name, reason in (("old", "a pickle, which is never opened"), ("cut", "its header can't be read")):
        assert run(["show", name]) == 0
        shown = capsys.readouterr().out
        assert f": unknown base, {reason}\n" in shown
        assert "None" not in shown
    assert run(["verify", "old"]) == 0
    assert capsys.readouterr().out.startswith("0 sound, 1 with the right hash (not opened), 0 not,")
