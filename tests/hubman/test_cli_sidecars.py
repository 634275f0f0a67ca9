"""``hubman sidecar``, ``import`` and ``export`` as a person and a program meet them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hubman.cli.main import run
from tests.support.model_files import small_lora, write_model


@pytest.fixture(autouse=True)
def loras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.setenv("HUBMAN_HOME", str(tmp_path / "home"))
    folder = tmp_path / "loras"
    write_model(folder / "a.safetensors", small_lora(), seed=1)
    (folder / "a.metadata.json").write_text('{"model_name": "In\\u001bk", "notes": "n"}')
    (folder / "a.cm-info.json").write_text('{"ModelName": "Other"}')
    assert run(["scan", str(folder)]) == 0
    capsys.readouterr()
    return folder


def _json(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_show_marks_what_is_shown_and_conflicts_lists_the_rest(loras: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sidecar", "show", "Ink"]) == 0
    out = capsys.readouterr().out
    assert f"* Ink  [metadata.json, {loras / 'a.metadata.json'}]" in out
    assert f"  Other  [cm-info.json, {loras / 'a.cm-info.json'}]" in out
    assert "\x1b" not in out
    found = _json(capsys, "sidecar", "show", "Ink")
    assert {field["field"] for field in found["fields"]} >= {"name", "notes", "base_model"}
    (one,) = _json(capsys, "sidecar", "conflicts")
    assert [field["field"] for field in one["fields"]] == ["name"]
    assert run(["edit", "Ink", "name=Mine"]) == 0
    assert _json(capsys, "sidecar", "conflicts", "Mine") == []


def test_read_takes_in_an_edited_sidecar(loras: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (loras / "a.metadata.json").write_text('{"model_name": "New", "notes": "m"}')
    assert _json(capsys, "sidecar", "read")["models"] == 1
    assert _json(capsys, "show", "New")["notes"] == "m"


def test_write_plans_writes_and_is_undone(loras: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sidecar", "write", "Ink"]) == 2
    assert "no dialect is set to be written" in capsys.readouterr().err
    assert run(["sidecar", "write", "Ink", "--query", "Ink"]) == 2
    assert run(["sidecar", "dialects", "json=read+write"]) == 0
    capsys.readouterr()
    assert _json(capsys, "sidecar", "dialects")["json"] == "write"
    assert _json(capsys, "sidecar", "write", "Ink", "--dry-run")[0]["action"] == "create"
    assert not (loras / "a.json").exists()
    assert run(["sidecar", "write", "Ink"]) == 2, "nobody is there to agree"
    assert run(["sidecar", "write", "--query", "Ink", "--yes"]) == 0
    assert json.loads((loras / "a.json").read_text())["notes"] == "n"
    assert run(["undo"]) == 0
    assert not (loras / "a.json").exists()
    assert run(["sidecar", "dialects", "nonsense"]) == 2


def test_an_export_goes_into_another_registry(
    loras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["edit", "Ink", "rating=5"]) == 0
    assert run(["export", "rating:5", "-o", str(tmp_path / "x.jsonl")]) == 0
    assert run(["export", "-o", str(tmp_path / "x.csv")]) == 0
    capsys.readouterr()
    assert run(["export"]) == 0
    assert json.loads(capsys.readouterr().out)["said"] == {"rating": 5}
    monkeypatch.setenv("HUBMAN_HOME", str(tmp_path / "other"))
    assert run(["import", str(tmp_path / "x.jsonl"), "--yes"]) == 1
    assert "line 1: Ink" in capsys.readouterr().out
    assert run(["scan", str(loras)]) == 0
    capsys.readouterr()
    assert _json(capsys, "show", "Ink")["rating"] == 5
    table = (tmp_path / "x.csv").read_bytes()
    assert table.startswith(b"\xef\xbb\xbfname,")
    (tmp_path / "x.csv").write_bytes(table.replace(b"Ink", b"Mine"))
    assert [one["after"] for one in _json(capsys, "import", str(tmp_path / "x.csv"), "--dry-run")["changes"]] == [
        "Mine"
    ]
    assert run(["import", str(tmp_path / "x.csv"), "--yes"]) == 0
    assert run(["undo"]) == 0
    capsys.readouterr()
    assert _json(capsys, "ls")[0]["name"] == "Ink"


def test_what_is_no_export_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.jsonl").write_text("hello")
    assert run(["import", str(tmp_path / "x.jsonl"), "--yes"]) == 1
    assert "is it a file of hubman export?" in capsys.readouterr().err
    assert run(["import", str(tmp_path / "nothing")]) == 2
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe")
    assert run(["import", str(tmp_path / "x.csv"), "--yes"]) == 1
    assert "UTF-8" in capsys.readouterr().err


def test_a_program_is_taken_over(tmp_path: Path, loras: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "webui"
    (base / "models").mkdir(parents=True)
    (base / "webui.py").touch()
    (base / "modules").mkdir()
    loras.rename(base / "models" / "Lora")
    plan = _json(capsys, "import", str(base), "--dry-run")
    assert (plan["program"], plan["files"], plan["is_plan"]) == ("a1111", 1, True)
    assert run(["import", str(base)]) == 0
    out = capsys.readouterr().out
    assert "a1111 in" in out
    assert "metadata.json: 1 read (name 1, notes 1)" in out
    assert "disagree: Ink: name" in out
