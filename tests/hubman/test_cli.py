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
from registry import database
from tests.support.civitai import write_lora

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUBMAN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CIVITAI_API_KEY", raising=False)
    monkeypatch.delenv("HUBMAN_CIVITAI_URL", raising=False)
    return tmp_path / "home"


@pytest.fixture
def scanned(tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    folder.mkdir()
    write_lora(folder / "ink wash.safetensors", seed=1)
    assert run(["scan", str(folder)]) == 0
    return folder


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


def test_edits_and_tags_are_kept_and_found(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["edit", "ink wash", "rating=4", "strength=0.7", "notes=for client A"]) == 0
    assert run(["tag", "ink wash", "+ink", "mono"]) == 0
    assert run(["tag", "ink wash", "-mono"]) == 0
    capsys.readouterr()
    assert run(["ls", "rating:>=4", "tag:ink", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["rating"], row["strength"], row["tags"]) == (4, 0.7, ["ink"])


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
        (["ls", "--nonsense"], 2),
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
    (line,) = printed.err.splitlines()
    assert line.startswith("hubman: ")


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


def test_views_are_saved_renamed_listed_and_removed(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["view", "save", "mine-inks", "ink", "-tag:old"]) == 0
    assert run(["view", "rename", "mine-inks", "inks"]) == 0
    capsys.readouterr()
    assert run(["view", "ls", "--json"]) == 0
    views = json.loads(capsys.readouterr().out)
    assert [view["name"] for view in views if view["built_in"]] == ["unused", "dupes", "updates", "mine", "untested"]
    assert views[-1] == {"name": "inks", "query": "ink -tag:old", "built_in": False}
    assert run(["ls", "@inks", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert run(["view", "rm", "inks"]) == 0
    assert run(["ls", "@inks"]) == 2
    assert "there is no view @inks" in capsys.readouterr().err
    assert run(["view", "rm", "inks"]) == 1
    assert run(["view", "save", "bad", "raing:4"]) == 2


def test_facets_count_what_matches(scanned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["tag", "ink wash", "+ink"])
    capsys.readouterr()
    assert run(["facets", "ink", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tag"] == [{"value": "ink", "count": 1}]
    assert run(["facets", "-ink"]) == 0
    assert "tag" not in capsys.readouterr().out
