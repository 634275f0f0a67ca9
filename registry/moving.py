"""Move files of the library so that all of them arrive or none: what is under way is written down before it begins.

A process that is killed leaves its moves in ``moves_under_way``, and whoever opens the registry next puts the files back.
Places follow in the same transaction that ends the moves, so a moved file needs no scan to be found again. To another
drive a file is copied (:mod:`registry.copying`); its source goes when all the rest is done.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from registry import copying, moved_places, trash_folder
from registry.copying import Copied
from registry.database import Registry
from registry.errors import HubError
from registry.journal import Move
from registry.roots import is_text

Result = TypeVar("Result")


Watch = Callable[[int, int], object]
"""Told how many of how many files have been moved; files that go to another drive take their time."""


def _unwatched(done: int, total: int) -> None:
    del done, total


def carry_out(
    registry: Registry,
    moves: Sequence[Move],
    finish: Callable[[sqlite3.Connection], Result],
    watch: Watch = _unwatched,
) -> Result:
    """Move all files and call ``finish`` in the transaction that notes where they are now; returns its result.

    Folders that are missing are made. Raises :class:`HubError`, with every file where it was, if one of them can't be
    moved, if something lies where it should go, or if ``finish`` raises. Not to be called inside a transaction.
    """
    with _lock(registry, wait=True):
        _put_back_all(registry)
        check(moves)
        copying.check_room(moves)
        made = missing_folders(moves) + trash_folder.manifests(moves)
        number = _begin(registry, moves, made)
        try:
            copies = _move(registry, moves, number, watch)
            with registry.transaction() as db:
                moved_places.note(registry, moves)
                result = finish(db)
                copying.note(db, copies)
                db.execute("DELETE FROM moves_under_way WHERE id = ?", (number,))
        except BaseException:
            # Interrupted after the commit they are where they should be.
            if registry.db.execute("SELECT 1 FROM moves_under_way WHERE id = ?", (number,)).fetchone():
                _put_back(registry, number, moves, made)
            raise
        if copies:
            copying.delete_sources(registry)
        trash_folder.drop_empty(source for source, _ in moves)
        return result


def recover(registry: Registry) -> None:
    """Put back the files of processes that were killed; those of a process that still runs are left to it."""
    # A volume that is not there now, or a registry that is busy, leaves its moves for the next time.
    with (
        contextlib.suppress(BlockingIOError, HubError, sqlite3.OperationalError),
        _lock(registry, wait=False),
    ):
        _put_back_all(registry)
        copying.delete_sources(registry)


def check(moves: Sequence[Move]) -> None:
    """Raises :class:`HubError` naming the first file that can't be moved because of what lies where."""
    targets: set[str] = set()
    for source, target in moves:
        if not os.path.lexists(source):
            raise HubError(f"{source} is not there any more", "hubman scan looks where it went")
        if os.path.lexists(target) or target in targets:
            raise HubError(f"{target} is in the way", "move or rename it, then repeat this")
        if not is_text(target):
            raise HubError(f"{target!r} is no name that can be kept", "rename the file")
        targets.add(target)


@contextlib.contextmanager
def _lock(registry: Registry, *, wait: bool) -> Iterator[None]:
    """One process moves at a time; the system lets go of the lock however it ends."""
    handle = os.open(registry.home / "moves.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def _begin(registry: Registry, moves: Sequence[Move], made: Sequence[str]) -> int:
    with registry.transaction() as db:
        row = (msgspec.json.encode(moves).decode(), msgspec.json.encode(made).decode())
        return int(
            db.execute("INSERT INTO moves_under_way (moves, made) VALUES (?, ?) RETURNING id", row).fetchone()[0]
        )


def missing_folders(moves: Sequence[Move]) -> list[str]:
    """The folders that :func:`carry_out` has to make, the outer ones first."""
    missing: dict[str, None] = {}
    for _, target in moves:
        above = [folder for folder in Path(target).parents if not os.path.lexists(folder)]
        missing |= dict.fromkeys(str(folder) for folder in reversed(above))
    return list(missing)


def drop_folders(folders: Sequence[str]) -> None:
    """Remove those of these folders in which nothing is left; the outer ones come first."""
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def _move(registry: Registry, moves: Sequence[Move], number: int, watch: Watch) -> list[Copied]:
    """Move the files; returns those that had to be copied, whose sources are still there."""
    folders: set[Path] = set()
    copies: list[Copied] = []
    try:
        trash_folder.write_manifests(registry.db, moves)
    except OSError as error:
        raise HubError(f"{error.filename} can't be made ({error.strerror})", "nothing was moved") from error
    for done, (source, target) in enumerate(moves):
        watch(done, len(moves))
        try:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                raise HubError(f"{target} is in the way", "move or rename it, then repeat this")
            copies += _move_one(source, target, number)
        except OSError as error:
            raise HubError(f"{source} can't be moved to {target} ({error.strerror})", "nothing was moved") from error
        folders |= {Path(source).parent, Path(target).parent}
    for folder in folders:
        _sync(folder)
    return copies


def _move_one(source: str, target: str, number: int) -> list[Copied]:
    # Asked of the system and not of the devices' numbers: a bind mount has the number of what it shows.
    try:
        os.rename(source, target)  # noqa: PTH104 - paths stay texts here
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return [copying.copy(source, target, number)]
    return []


def _sync(folder: Path) -> None:
    """After a power cut the files must lie where the registry says."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _put_back_all(registry: Registry) -> None:
    for number, moves, made in registry.db.execute("SELECT id, moves, made FROM moves_under_way").fetchall():
        _put_back(
            registry, number, msgspec.json.decode(moves, type=list[Move]), msgspec.json.decode(made, type=list[str])
        )


def _put_back(registry: Registry, number: int, moves: Sequence[Move], made: Sequence[str]) -> None:
    """Put back what can be; where neither end of a move is there, its volume may be away: then once more next time."""
    for source, target in reversed(moves):
        try:
            _put_one_back(source, target, number)
        except OSError as error:
            reason = f"{target} can't be put back to {source} ({error.strerror})"
            raise HubError(reason, "mend that; the next command tries again") from error
    if not all(os.path.lexists(source) for source, _ in moves):
        return
    for path in reversed(made):
        with contextlib.suppress(OSError):
            Path(path).rmdir() if Path(path).is_dir() else Path(path).unlink()
    with registry.transaction() as db:
        db.execute("DELETE FROM moves_under_way WHERE id = ?", (number,))


def _put_one_back(source: str, target: str, number: int) -> None:
    part = copying.part_of(target, number)
    if os.path.lexists(part):
        Path(part).unlink()
    if not os.path.lexists(target):
        return
    if not os.path.lexists(source):
        os.rename(target, source)  # noqa: PTH104 - paths stay texts here
    elif copying.is_copy(source, target):
        Path(target).unlink()
