"""Move a file to another drive without ever being without it: copy, read the copy again, and delete the source last.

The copy grows under a name of its own (``NAME.hubman-N.part``) and gets the real one when what was read back from the
drive has the hash of what was read from the source. The source is deleted only after the registry has committed that
the file lies at its new place: the row of ``copied`` that the commit leaves is taken out when it is gone, so a process
that is killed in between leaves the deletion to whoever opens the registry next.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from registry.database import Registry
from registry.errors import HubError
from registry.journal import Move

_BLOCK = 1 << 20


class Copied(msgspec.Struct, frozen=True):
    """A source whose copy lies at ``target``, with what tells that it is still what was copied."""

    source: str
    target: str
    size: int
    mtime_ns: int
    inode: int


def check_room(moves: Sequence[Move]) -> None:
    """Raises :class:`HubError` for the first drive on which the files that would be copied to it have no room."""
    for folder, needed in _needed(moves).items():
        free = shutil.disk_usage(folder).free
        if needed > free:
            need, have = (f"{number / 1e9:.1f} GB" for number in (needed, free))
            raise HubError(f"{folder} has {have} free, and {need} are needed", "free space there, or move less")


def _needed(moves: Sequence[Move]) -> dict[Path, int]:
    """An existing folder of each drive that files would be copied to, and how many bytes."""
    by_device: dict[int, tuple[Path, int]] = {}
    for source, target in moves:
        status = os.lstat(source)
        folder = standing_folder(target)
        device = folder.stat().st_dev
        if device != status.st_dev:
            known, size = by_device.get(device, (folder, 0))
            by_device[device] = known, size + status.st_size
    return dict(by_device.values())


def standing_folder(path: str) -> Path:
    """The nearest folder above ``path`` that is there."""
    return next(folder for folder in Path(path).parents if folder.exists())


def part_of(target: str, number: int) -> str:
    """The name under which the copy for ``target`` grows in the moves ``number``."""
    return f"{target}.hubman-{number}.part"


def copy(source: str, target: str, number: int) -> Copied:
    """Copy ``source`` to ``target``, which must not be there, with its times. The source stays.

    Raises :class:`HubError` where the copy reads differently or the source changed meanwhile, and :class:`OSError`.
    """
    before = os.lstat(source)
    if Path(source).is_symlink():
        raise HubError(f"{source} is a link", "move what it points to, then make the link anew")
    part = part_of(target, number)
    written = _write(source, part)
    shutil.copystat(source, part)
    if _read_back(part) != written:
        raise HubError(f"the copy of {source} reads differently than it was written", "is that drive sound?")
    after = os.lstat(source)
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
        raise HubError(f"{source} changed while it was copied", "repeat this when nothing writes to it")
    if os.path.lexists(target):
        raise HubError(f"{target} is in the way", "move or rename it, then repeat this")
    os.rename(part, target)  # noqa: PTH104 - paths stay texts here
    return Copied(source, target, after.st_size, after.st_mtime_ns, after.st_ino)


def _write(source: str, part: str) -> bytes:
    digest = hashlib.sha256()
    with Path(source).open("rb") as reading, Path(part).open("wb") as writing:
        while block := reading.read(_BLOCK):
            digest.update(block)
            writing.write(block)
        writing.flush()
        os.fsync(writing.fileno())
    return digest.digest()


def _read_back(part: str) -> bytes:
    with Path(part).open("rb") as file:
        if hasattr(os, "posix_fadvise"):
            # What is still in memory would say nothing of the drive.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return hashlib.file_digest(file, "sha256").digest()


def is_copy(source: str, target: str) -> bool:
    """Whether ``target`` can only be the copy that was made of ``source``: on another drive, with the same bytes."""
    one, other = os.lstat(source), os.lstat(target)
    if one.st_dev == other.st_dev or one.st_size != other.st_size:
        return False
    return not (Path(source).is_symlink() or Path(target).is_symlink()) and _read_back(source) == _read_back(target)


def note(db: sqlite3.Connection, copies: Sequence[Copied]) -> None:
    """Leave the sources to :func:`delete_sources`. In the transaction that notes where the files lie now."""
    db.executemany("INSERT OR REPLACE INTO copied VALUES (?, ?, ?, ?, ?)", [msgspec.structs.astuple(c) for c in copies])


def delete_sources(registry: Registry) -> None:
    """Delete what has been moved away. A source that changed since is another file and stays, as does one that can't go."""
    for row in registry.db.execute("SELECT * FROM copied").fetchall():
        one = Copied(*row)
        if _is_settled(one):
            with registry.transaction() as db:
                db.execute("DELETE FROM copied WHERE source = ?", (one.source,))


def _is_settled(one: Copied) -> bool:
    """Whether nothing is left to do for a source. With the drive of either end away it waits for its return."""
    if not os.path.lexists(one.target) and not Path(one.target).parent.exists():
        return False
    try:
        status = os.lstat(one.source)
    except OSError:
        return Path(one.source).parent.exists()
    is_same = (status.st_size, status.st_mtime_ns, status.st_ino) == (one.size, one.mtime_ns, one.inode)
    if is_same and os.path.lexists(one.target):
        with contextlib.suppress(OSError):
            Path(one.source).unlink()
            return True
        return False
    return True
