"""Moves to another drive: nothing goes before its copy was read back, and a killed process loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry import copying, library, organise, roots, trash
from registry.database import Registry
from registry.errors import HubError, UsageError
from registry.scan import scan
from registry.undo import undo
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def folder(tmp_path: Path, registry: Registry) -> Path:
    folder = tmp_path / "loras"
    write_model(folder / "ink.safetensors", small_lora(), seed=1)
    (folder / "ink.json").write_text("{}")
    os.utime(folder / "ink.safetensors", (1_700_000_000, 1_700_000_000))
    roots.add(registry, folder)
    scan(registry)
    return folder


@pytest.fixture
def drive(folder: Path, registry: Registry) -> Iterator[Path]:
    """An indexed folder on another drive than ``folder``."""
    top = Path("/dev/shm")  # noqa: S108 - a file system of its own, where there is one
    if not os.access(top, os.W_OK) or top.stat().st_dev == folder.stat().st_dev:
        pytest.skip("this machine has no second file system to write to")
    made = Path(tempfile.mkdtemp(dir=top))
    roots.add(registry, made)
    yield made
    shutil.rmtree(made)


def _all(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _ink(registry: Registry) -> str:
    return library.resolve(registry, "ink")[0]


def _paths(registry: Registry) -> list[str]:
    return [place.path for place in library.show(registry, _ink(registry)).versions[0].files[0].places]


def test_a_model_goes_to_another_drive_with_all_beside_it_and_back(
    registry: Registry, folder: Path, drive: Path
) -> None:
    before = _all(folder)
    plan = organise.plan(registry, "{type}/", [_ink(registry)], into=drive)
    assert [line.conflict for line in plan] == [""]
    told: list[tuple[int, int]] = []
    organise.carry_out(registry, plan, lambda done, total: told.append((done, total)))
    assert told == [(0, 2), (1, 2)]
    assert _all(folder) == {}
    assert _all(drive) == {f"lora/{name}": content for name, content in before.items()}
    assert _paths(registry) == [str(drive / "lora/ink.safetensors")]
    assert (drive / "lora/ink.safetensors").stat().st_mtime == 1_700_000_000
    assert scan(registry).unchanged == 1
    undo(registry)
    assert (_all(folder), _all(drive)) == (before, {})
    assert _paths(registry) == [str(folder / "ink.safetensors")]


def test_files_come_out_of_the_trash_onto_what_is_another_drive_by_now(
    registry: Registry, folder: Path, drive: Path
) -> None:
    before = _all(folder)
    trash.trash_files(registry, [_ink(registry)])
    sql = "UPDATE trashed SET original = replace(original, ?, ?)"
    registry.db.execute(sql, (str(folder), str(drive)))
    trash.restore(registry, [_ink(registry)])
    assert _all(drive) == before
    assert _paths(registry) == [str(drive / "ink.safetensors")]


def test_a_copy_that_reads_differently_leaves_all_as_it_was(
    registry: Registry, folder: Path, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _all(folder)
    copystat = shutil.copystat

    def spoil(source: str, part: str) -> None:
        copystat(source, part)
        with Path(part).open("r+b") as file:
            file.write(b"\xff")

    monkeypatch.setattr(shutil, "copystat", spoil)
    with pytest.raises(HubError, match="reads differently"):
        organise.carry_out(registry, organise.plan(registry, "{type}/", [_ink(registry)], into=drive))
    assert (_all(folder), list(drive.iterdir())) == (before, [])
    assert _paths(registry) == [str(folder / "ink.safetensors")]


def test_a_drive_without_room_is_named_before_anything_moves(
    registry: Registry, folder: Path, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(drive)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(HubError, match=r"has 0.0 GB free"):
        organise.carry_out(registry, organise.plan(registry, "{type}/", [_ink(registry)], into=drive))
    assert list(drive.iterdir()) == []


def test_a_source_that_changed_after_it_was_copied_is_not_deleted(
    registry: Registry, folder: Path, drive: Path
) -> None:
    source, target = str(folder / "ink.json"), str(drive / "ink.json")
    copied = copying.copy(source, target, 1)
    with registry.transaction() as db:
        copying.note(db, [copied])
    Path(source).write_text('{"mine": 1}')
    copying.delete_sources(registry)
    assert Path(source).read_text() == '{"mine": 1}'
    assert registry.db.execute("SELECT count(*) FROM copied").fetchone()[0] == 0


def test_a_source_waits_for_its_copy_to_be_there_again(registry: Registry, folder: Path, drive: Path) -> None:
    source, target = str(folder / "ink.json"), str(drive / "in" / "ink.json")
    (drive / "in").mkdir()
    with registry.transaction() as db:
        copying.note(db, [copying.copy(source, target, 1)])
    away = (drive / "in").rename(drive / "unplugged")
    Registry(registry.home).close()
    assert Path(source).exists()
    away.rename(drive / "in")
    Registry(registry.home).close()
    assert not Path(source).exists()
    assert Path(target).read_text() == "{}"


def test_a_source_stays_where_its_copy_was_taken_away_since(registry: Registry, folder: Path, drive: Path) -> None:
    source, target = str(folder / "ink.json"), str(drive / "ink.json")
    with registry.transaction() as db:
        copying.note(db, [copying.copy(source, target, 1)])
    Path(target).unlink()
    Registry(registry.home).close()
    assert Path(source).exists()


def test_somebody_elses_file_of_the_same_name_is_never_taken_for_a_copy(
    registry: Registry, folder: Path, drive: Path
) -> None:
    source, other = str(folder / "ink.json"), drive / "ink.json"
    other.write_text("[]")
    assert not copying.is_copy(source, str(other))
    beside = folder / "twin.json"
    beside.write_text("{}")
    assert not copying.is_copy(source, str(beside)), "on one drive nothing is copied"


def test_a_folder_that_is_not_indexed_takes_nothing(registry: Registry, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not indexed"):
        organise.plan(registry, "{type}/", [_ink(registry)], into=tmp_path)


_KILLED = """
import os, signal, sys
from pathlib import Path
from registry import library, organise
from registry.database import Registry

registry = Registry(Path(sys.argv[1]))
plan = organise.plan(registry, "{type}/", [library.resolve(registry, "ink")[0]], into=Path(sys.argv[2]))
left = [int(sys.argv[3])]

def watch(event, arguments):
    if event in {"open", "os.rename", "os.remove", "os.utime", "shutil.copystat", "sqlite3.connect"}:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
organise.carry_out(registry, plan)
"""


def test_a_process_that_is_killed_at_any_instant_loses_nothing(registry: Registry, folder: Path, drive: Path) -> None:
    before = _all(folder)
    moved = {f"lora/{name}": content for name, content in before.items()}
    outcomes = set()
    for step in range(1, 60, 2):
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, str(registry.home), str(drive), str(step)],
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        Registry(registry.home).close()
        found = _all(folder), _all(drive)
        assert found in ((before, {}), ({}, moved)), f"killed at step {step}"
        outcomes.add(bool(found[0]))
        is_moved = _paths(registry) == [str(drive / "lora/ink.safetensors")]
        assert is_moved == (not found[0])
        if is_moved:
            undo(registry)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    else:
        pytest.fail("it never came to its end")
    assert outcomes == {True, False}
