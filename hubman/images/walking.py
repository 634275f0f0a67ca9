"""Which pictures below a folder are new, changed or gone, from listings alone."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from registry.picture_text import SUFFIXES
from registry.roots import is_text, printable
from registry.scan_walk import Problem

Key = tuple[int, int, int]
"""(inode, size, mtime_ns): another key at the same path is another picture. The inode is as SQLite takes it."""

_GRIDS = "-grids"
"""A1111's folders of grids, which repeat pictures that are saved one by one as well."""
_INODES = (1 << 63) - 1


@dataclass(frozen=True)
class Fresh:
    """A picture to look at."""

    folder: str
    name: str
    key: Key
    modified: float

    @property
    def path(self) -> str:
        return f"{self.folder.rstrip('/')}/{self.name}"


@dataclass
class Changes:
    """What differs from what was noted. ``gone`` are (folder, name)."""

    fresh: list[Fresh] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)


def look(db: sqlite3.Connection, top: str) -> Changes:
    """Compare ``top`` and all below it with the notes. What can't be read is told, and nothing there is gone."""
    found = Changes()
    unread: list[str] = []
    listed: set[str] = set()
    for folder, entries in _folders(top, found, unread):
        listed.add(folder)
        _compare(db, folder, entries, found)
    start = f"{top.rstrip('/')}/"
    noted = db.execute(
        "SELECT DISTINCT folder FROM image_files WHERE folder = ? OR substr(folder, 1, length(?)) = ?",
        (top, start, start),
    )
    for (folder,) in noted.fetchall():
        if folder not in listed and not any(f"{folder}/".startswith(f"{one.rstrip('/')}/") for one in unread):
            names = db.execute("SELECT name FROM image_files WHERE folder = ?", (folder,)).fetchall()
            found.gone += [(folder, name) for (name,) in names]
    return found


def _folders(top: str, found: Changes, unread: list[str]) -> Iterator[tuple[str, dict[str, os.stat_result]]]:
    """(folder, its pictures) of ``top`` and all below it, each folder once whatever links lead to it."""
    pending, been = deque([top]), set[tuple[int, int]]()
    while pending:
        folder = pending.popleft()
        try:
            status = os.stat(folder)  # noqa: PTH116 - paths stay texts here, for speed
            if (status.st_dev, status.st_ino) in been:
                continue
            been.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            unread.append(folder)
            found.problems.append(Problem(printable(folder), f"can't be read ({error.strerror})"))
            continue
        pictures: dict[str, os.stat_result] = {}
        for entry in entries:
            _take(entry, pictures, pending, found)
        yield folder, pictures


def _take(entry: os.DirEntry[str], pictures: dict[str, os.stat_result], pending: deque[str], found: Changes) -> None:
    name = entry.name
    if name.startswith("."):
        return
    try:
        if entry.is_dir():
            if not is_text(name):
                found.problems.append(Problem(printable(entry.path), "has a name that is not UTF-8: rename it"))
            elif not name.lower().endswith(_GRIDS):
                pending.append(entry.path)
        elif name.lower().endswith(SUFFIXES):
            status = entry.stat()
            if not is_text(name):
                found.problems.append(Problem(printable(entry.path), "has a name that is not UTF-8: rename it"))
            elif stat.S_ISREG(status.st_mode):
                pictures[name] = status
    except OSError as error:
        found.problems.append(Problem(printable(entry.path), f"can't be read ({error.strerror})"))


def _compare(db: sqlite3.Connection, folder: str, pictures: dict[str, os.stat_result], found: Changes) -> None:
    rows = db.execute("SELECT name, inode, size, mtime_ns FROM image_files WHERE folder = ?", (folder,))
    known: dict[str, Key] = {name: (inode, size, mtime) for name, inode, size, mtime in rows}
    for name, status in pictures.items():
        key = status.st_ino & _INODES, status.st_size, status.st_mtime_ns
        if known.pop(name, None) == key:
            found.unchanged += 1
        else:
            found.fresh.append(Fresh(folder, name, key, status.st_mtime))
    found.gone += [(folder, name) for name in known]
