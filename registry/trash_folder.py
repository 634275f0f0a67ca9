"""The folders into which files of models are moved: one on each volume, each load with a manifest of what it holds.

``<top>/.trash/hubman-<ULID>/`` holds the files as ``1``, ``2``, … (no program lists those as models) and
``manifest.json``, from which a person can put them back without hubman.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from registry import ids, timestamps
from registry.journal import Move

_FOLDER = ".trash"
_LOAD = "hubman-"
_MANIFEST = "manifest.json"


def new_load(path: str, root: Path) -> Path:
    """A folder for a file at ``path``: below the highest folder inside ``root`` that is on the file's own volume."""
    folder = Path(path).parent
    device = folder.stat().st_dev
    while folder != root and folder.is_relative_to(root) and folder.parent.stat().st_dev == device:
        folder = folder.parent
    return folder / _FOLDER / f"{_LOAD}{ids.new_id()}"


def is_inside(path: str) -> bool:
    load = Path(path).parent
    return load.name.startswith(_LOAD) and load.parent.name == _FOLDER


def manifests(moves: Sequence[Move]) -> list[str]:
    """The manifests that belong to the moves into the trash."""
    return [str(load / _MANIFEST) for load in _loads(moves)]


def write_manifests(db: sqlite3.Connection, moves: Sequence[Move]) -> None:
    """Write them, before any file is moved. Raises :class:`OSError`."""
    for load, files in _loads(moves).items():
        load.mkdir(parents=True, exist_ok=True)
        listed = [
            {
                "stored": Path(target).name,
                "path": source,
                "size": os.lstat(source).st_size,
                "sha256": _sha256(db, source),
            }
            for source, target in files
        ]
        body = {"hubman_trash": 1, "trashed_at": timestamps.now(), "files": listed}
        (load / _MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(body), indent=2))


def drop_empty(paths: Iterable[str]) -> None:
    """Remove the loads in which nothing is left but the manifest."""
    for load in {Path(path).parent for path in paths if is_inside(path)}:
        with contextlib.suppress(OSError):
            if [entry.name for entry in load.iterdir()] == [_MANIFEST]:
                (load / _MANIFEST).unlink()
                load.rmdir()
                load.parent.rmdir()


def _loads(moves: Sequence[Move]) -> dict[Path, list[Move]]:
    found: dict[Path, list[Move]] = {}
    for source, target in moves:
        if is_inside(target):
            found.setdefault(Path(target).parent, []).append((source, target))
    return found


def _sha256(db: sqlite3.Connection, path: str) -> str | None:
    row = db.execute("SELECT sha256 FROM places WHERE path = ?", (path,)).fetchone()
    return row[0] if row and row[0] and not ids.is_provisional(row[0]) else None
