"""Where files lie: on drives that come and go, in several folders, under new names, over one another."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry import edits, library, roots, scan, scan_read
from registry.database import Registry
from registry.hashing import FileHashes, hash_file
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def loras(registry: Registry, tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    folder.mkdir()
    roots.add(registry, folder)
    return folder


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than the temporary folder."""
    shared = Path("/dev/shm")  # noqa: S108 - the one other file system that is there without mounting
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(prefix="hubman-", dir=shared) as folder:
        yield Path(folder) / "drive"


def _names(registry: Registry, line: str = "") -> list[str]:
    return [row.name for row in library.list_models(registry, line)]


def _flags(registry: Registry) -> dict[str, str]:
    return {row.name: row.flags for row in library.list_models(registry)}


@pytest.mark.parametrize("mount_point_stays", [False, True])
def test_files_of_a_root_whose_drive_is_away_are_offline(
    registry: Registry, loras: Path, tmp_path: Path, mount_point_stays: bool
) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    scan.scan(registry)
    edits.edit(registry, *library.resolve(registry, "a"), {"notes": "keep"})
    loras.rename(tmp_path / "unplugged")
    if mount_point_stays:
        loras.mkdir()
    result = scan.scan(registry)
    assert (result.missing, result.offline) == (0, 1)
    assert "drive" in result.problems[0].reason
    assert _flags(registry) == {"a": "O"}
    assert _names(registry, "is:offline") == ["a"]
    assert _names(registry, "is:missing") == []
    if mount_point_stays:
        loras.rmdir()
    (tmp_path / "unplugged").rename(loras)
    back = scan.scan(registry)
    assert (back.moved, back.unchanged, back.offline) == (0, 1, 0)
    assert _flags(registry) == {"a": ""}
    assert _names(registry, "has:notes") == ["a"]


def test_other_machines_are_not_told_that_a_drive_is_away(registry: Registry, loras: Path, tmp_path: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    scan.scan(registry)
    said = registry.db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()[0]
    loras.rename(tmp_path / "unplugged")
    scan.scan(registry)
    assert registry.db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()[0] == said


def test_one_of_several_roots_may_be_away(registry: Registry, loras: Path, tmp_path: Path) -> None:
    nas = tmp_path / "nas"
    write_model(nas / "b.safetensors", small_lora(), seed=2)
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    roots.add(registry, nas)
    assert scan.scan(registry).new == 2
    nas.rename(tmp_path / "unplugged")
    (loras / "a.safetensors").unlink()
    write_model(loras / "c.safetensors", small_lora(), seed=3)
    result = scan.scan(registry)
    assert (result.new, result.missing, result.offline) == (1, 1, 1)
    assert _flags(registry) == {"a": "M", "b": "O", "c": ""}


@pytest.mark.parametrize("way", ["folder", "file"])
def test_a_link_to_a_drive_that_is_away_leaves_its_files_offline(
    registry: Registry, loras: Path, drive: Path, way: str
) -> None:
    write_model(loras / "here.safetensors", small_lora(), seed=1)
    target = write_model(drive / "there.safetensors", small_lora(), seed=2)
    write_model(drive / "second.safetensors", small_lora(), seed=3)
    if way == "folder":
        (loras / "linked").symlink_to(drive)
    else:
        (loras / "there.safetensors").symlink_to(target)
        (loras / "second.safetensors").symlink_to(drive / "second.safetensors")
    scan.scan(registry)
    target.unlink()
    scan.scan(registry)
    assert _flags(registry) == {"here": "", "second": "", "there": "M"}
    drive.rename(drive.with_name("unplugged"))
    result = scan.scan(registry)
    assert (result.missing, result.offline) == (1, 1)
    assert _flags(registry) == {"here": "", "second": "O", "there": "M"}
    drive.with_name("unplugged").rename(drive)
    assert scan.scan(registry).unchanged == 2
    assert _flags(registry)["second"] == ""


def test_a_file_that_moves_to_another_drive_is_read_before_it_is_taken_for_the_same(
    registry: Registry, loras: Path, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(loras / "stays.safetensors", small_lora(), seed=2)
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    scan.scan(registry)
    edits.edit(registry, *library.resolve(registry, "a"), {"rating": "5"})
    drive.mkdir()
    shutil.move(path, drive / "b.safetensors")
    roots.add(registry, drive)
    read: list[str] = []

    def note(file: Path, *_: object) -> FileHashes:
        read.append(file.name)
        return hash_file(file)

    monkeypatch.setattr(scan_read, "hash_file", note)
    assert scan.scan(registry).moved == 1
    assert read == ["b.safetensors"]
    assert [(row.name, row.rating, row.flags) for row in library.list_models(registry)] == [
        ("b", 5, ""),
        ("stays", 0, ""),
    ]


def test_a_folder_in_two_roots_is_listed_under_its_real_path(registry: Registry, loras: Path, tmp_path: Path) -> None:
    """Whichever of the roots is scanned, and in whichever order."""
    real = tmp_path / "z-real"
    path = write_model(real / "sub" / "a.safetensors", small_lora(), seed=1)
    (loras / "whole").symlink_to(real)
    (loras / "part").symlink_to(real / "sub")
    roots.add(registry, real)
    for wanted in (None, [loras], [real], None):
        result = scan.scan(registry, roots=wanted)
        assert (result.missing, result.moved) == (0, 0)
        (row,) = library.list_models(registry)
        (file,) = library.version(registry, row.version_id).files
        assert [place.path for place in file.places] == [str(path)]


@pytest.mark.parametrize("moved", [False, True])
def test_a_header_that_was_edited_keeps_what_a_person_said_even_under_another_name(
    registry: Registry, loras: Path, moved: bool
) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), {"note": "old"}, seed=1)
    scan.scan(registry)
    old = library.resolve(registry, "a")
    edits.edit(registry, *old, {"rating": "4", "notes": "mine", "trigger_words": "inkwash"})
    edits.trash(registry, old[0])
    edits.restore(registry, old[0])
    (before,) = library.version(registry, old[1]).files
    path.unlink()
    name = "sub/b" if moved else "a"
    write_model(loras / f"{name}.safetensors", small_lora(), {"note": "new"}, seed=1)
    result = scan.scan(registry)
    assert (result.changed, result.moved, result.new, result.missing) == ((0, 1, 0, 0) if moved else (1, 0, 0, 0))
    (row,) = library.list_models(registry)
    assert (row.name, row.rating, row.trigger_words, row.flags) == (Path(name).name, 4, ("inkwash",), "")
    assert library.show(registry, row.id).notes == "mine"
    (past,) = library.version(registry, row.version_id).history
    assert (past.sha256, past.path) == (before.sha256, str(path))


def test_files_without_tensors_are_not_taken_for_one_another(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", {}, {"note": "one"})
    scan.scan(registry)
    path.unlink()
    write_model(loras / "b.safetensors", {}, {"note": "two"})
    result = scan.scan(registry)
    assert (result.new, result.moved, result.missing) == (1, 0, 1)


def test_the_epochs_that_were_overwritten_stay_in_the_history(registry: Registry, loras: Path) -> None:
    hashes = []
    for epoch in range(3):
        write_model(loras / "a.safetensors", small_lora(), seed=epoch)
        scan.scan(registry)
        (row,) = library.list_models(registry)
        (file,) = library.version(registry, row.version_id).files
        hashes.append(file.sha256)
    assert [old.sha256 for old in library.version(registry, row.version_id).history] == [hashes[1], hashes[0]]


def test_an_epoch_that_is_also_kept_under_its_own_name_inherits_all_the_same(registry: Registry, loras: Path) -> None:
    """Whichever of the equal files is read first."""
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    scan.scan(registry)
    edits.edit(registry, *library.resolve(registry, "a"), {"rating": "4", "notes": "mine"})
    write_model(path, small_lora(), seed=2)
    shutil.copy(path, loras / "a-000002.safetensors")
    os.utime(path, ns=(1, 10**18))
    scan.scan(registry)
    (row,) = library.list_models(registry)
    assert row.rating == 4
    assert library.show(registry, row.id).notes == "mine"


def test_a_file_moved_over_another_is_no_longer_where_it_was(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    write_model(loras / "b.safetensors", small_lora(), seed=2)
    scan.scan(registry)
    edits.edit(registry, *library.resolve(registry, "a"), {"rating": "4"})
    path.replace(loras / "b.safetensors")
    result = scan.scan(registry)
    assert (result.changed, result.missing) == (1, 0)
    assert [(row.name, row.rating, row.flags) for row in library.list_models(registry)] == [("b", 4, "")]
