"""Where files lie on this machine, and by what a change is noticed without reading them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from registry import ids, settled

PRESENT, MISSING, DAMAGED, OFFLINE = "present", "missing", "damaged", "offline"
"""``missing`` is gone though its folder can be looked at; ``offline`` lies on a drive that is away."""

Stamp = tuple[str, int, int, int, int, str]
"""(path, device, inode, size, mtime_ns, sha256). A plain row: there is one for each file, and making records of them would
take longer than looking at the files.
"""


@dataclass(frozen=True)
class Stamps:
    """What is known of files that need no further look while they keep their stamps; ``shown`` are the contents that
    have a picture.
    """

    by_path: Mapping[str, Stamp]
    shown: Set[str]


NO_STAMPS = Stamps({}, frozenset())

UNREAD = -1
"""The time of a place that could not be read: no file has it, so the next scan reads the file again."""


@dataclass(frozen=True)
class Seen:
    """A file as the folder lists it. ``preview`` is the picture beside it that shows it, if there is one; ``sidecars``
    are what other programs noted beside it.
    """

    path: str
    size: int
    mtime_ns: int
    device: int
    inode: int
    preview: str | None = None
    sidecars: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[int, int, int]:
        """What moves along with a file that is renamed within its file system."""
        return self.inode, self.size, self.mtime_ns


@dataclass(frozen=True)
class Known:
    """A place as it was found last. ``sha256`` is None for a file that could not be read, and a provisional name for one
    that is listed and not hashed yet; ``verified_at`` is when its bytes were last found to be those.
    """

    path: str
    sha256: str | None
    size: int
    mtime_ns: int
    device: int
    inode: int
    state: str
    problem: str | None
    verified_at: str | None

    @property
    def key(self) -> tuple[int, int, int]:
        return self.inode, self.size, self.mtime_ns

    @property
    def is_unhashed(self) -> bool:
        return self.sha256 is not None and ids.is_provisional(self.sha256)

    @property
    def is_hashed(self) -> bool:
        return self.sha256 is not None and not ids.is_provisional(self.sha256)

    @property
    def is_absent(self) -> bool:
        return self.state in {MISSING, OFFLINE}

    def is_still(self, seen: Seen) -> bool:
        """Whether the content is the same for all that the file system says.

        The device's number is left out: it differs from mount to mount.
        """
        return self.sha256 is not None and self.key == seen.key


def seen_from(path: str, stat: os.stat_result, preview: str | None = None, sidecars: tuple[str, ...] = ()) -> Seen:
    return Seen(path, stat.st_size, stat.st_mtime_ns, _signed(stat.st_dev), _signed(stat.st_ino), preview, sidecars)


def is_unmoved(seen: Seen) -> bool:
    """Whether the file still lies where it was seen, as it was."""
    try:
        now = seen_from(seen.path, os.stat(seen.path))  # noqa: PTH116 - paths stay texts here
    except OSError:
        return False
    return (now.device, now.key) == (seen.device, seen.key)


def stamps_under(db: sqlite3.Connection, folders: Iterable[str]) -> Stamps:
    """Of the hashed files in ``folders`` and below that were there at the last look: by what to tell a changed one."""
    cursor = db.cursor()
    cursor.row_factory = None
    found: dict[str, Stamp] = {}
    for folder in folders:
        start = folder.rstrip("/") + "/"
        found |= {row[0]: row for row in cursor.execute(_STAMPS, (start, start[:-1] + "0"))}
    return Stamps(found, {sha256 for (sha256,) in cursor.execute(_SHOWN)})


def without_stamp(db: sqlite3.Connection, folder: str) -> dict[str, Known]:
    """The places in ``folder`` and below that :func:`stamps_under` leaves out."""
    start = folder.rstrip("/") + "/"
    rows = db.execute(_WITHOUT_STAMP)
    return {row[0]: Known(*row) for row in rows if row[0].startswith(start)}


def known_of(db: sqlite3.Connection, paths: Sequence[str]) -> dict[str, Known]:
    """The places at these paths, by path."""
    found: dict[str, Known] = {}
    for start in range(0, len(paths), 500):
        part = paths[start : start + 500]
        marks = ", ".join("?" for _ in part)
        rows = db.execute(f"{_SELECT} WHERE path IN ({marks})", part)
        found |= {row[0]: Known(*row) for row in rows}
    return found


def has_any_under(db: sqlite3.Connection, folder: str) -> bool:
    start = folder.rstrip("/") + "/"
    sql = "SELECT 1 FROM places WHERE path >= ? AND path < ? LIMIT 1"
    return db.execute(sql, (start, start[:-1] + "0")).fetchone() is not None


def known_in(db: sqlite3.Connection, folder: str) -> list[Known]:
    """The places in ``folder`` itself, by path."""
    start = folder.rstrip("/") + "/"
    sql = f"{_SELECT} WHERE path >= ? AND path < ? AND instr(substr(path, ?), '/') = 0 ORDER BY path"
    return [Known(*row) for row in db.execute(sql, (start, start[:-1] + "0", len(start) + 1))]


def known_at(db: sqlite3.Connection, path: str) -> Known | None:
    row = db.execute(f"{_SELECT} WHERE path = ?", (path,)).fetchone()
    return Known(*row) if row else None


def all_known(db: sqlite3.Connection) -> dict[str, Known]:
    return {row[0]: Known(*row) for row in db.execute(_SELECT)}


def of_models(db: sqlite3.Connection, models: Sequence[str]) -> list[Known]:
    """The places of all versions of these models, by path."""
    found: dict[str, Known] = {}
    models = settled.models_of(db, models)
    for start in range(0, len(models), 500):
        part = models[start : start + 500]
        marks = ", ".join("?" for _ in part)
        found |= {row[0]: Known(*row) for row in db.execute(_OF_MODELS % marks, part)}
    return sorted(found.values(), key=lambda place: place.path)


def missing_with(db: sqlite3.Connection, sha256: str, autov3: str | None) -> Known | None:
    """A place that lost this content, or its tensors under another header."""
    row = db.execute(f"{_SELECT} WHERE sha256 = ? AND {_IS_MISSING}", (sha256,)).fetchone()
    if row is None and autov3 is not None:
        row = db.execute(f"{_SELECT} WHERE {_HAS_TENSORS} AND {_IS_MISSING}", (autov3,)).fetchone()
    return Known(*row) if row else None


def with_inode(db: sqlite3.Connection, seen: Seen) -> list[Known]:
    """The places of the file that has this inode, size and time on this device, but for its own."""
    sql = f"{_SELECT} WHERE inode = ? AND size = ? AND mtime_ns = ? AND device = ? AND path <> ?"
    return [Known(*row) for row in db.execute(sql, (seen.inode, seen.size, seen.mtime_ns, seen.device, seen.path))]


def missing(db: sqlite3.Connection) -> list[Known]:
    return [Known(*row) for row in db.execute(f"{_SELECT} WHERE state = 'missing' AND state <> 'present'")]


def troubled(db: sqlite3.Connection) -> list[Known]:
    """The places that are missing, offline or damaged."""
    return [Known(*row) for row in db.execute(f"{_SELECT} WHERE state <> ? ORDER BY path", (PRESENT,))]


_SELECT = "SELECT path, sha256, size, mtime_ns, device, inode, state, problem, verified_at FROM places"
_SHOWN = "SELECT f.sha256 FROM files f WHERE EXISTS (SELECT 1 FROM previews p WHERE p.version_id = f.version_id)"
_STAMPS = f"""SELECT path, device, inode, size, mtime_ns, sha256 FROM places
    WHERE path >= ? AND path < ? AND state IN ('present', 'damaged') AND {ids.HASHED}"""  # noqa: S608
# Each part has an index of its own: there are few such places, and the table is long.
_WITHOUT_STAMP = f"""{_SELECT} WHERE sha256 IS NULL UNION {_SELECT} WHERE {ids.UNHASHED}
    UNION {_SELECT} WHERE state <> 'present' AND state <> 'damaged'"""
_HAS_TENSORS = "sha256 IN (SELECT sha256 FROM files WHERE autov3 = ?)"
_IS_MISSING = "state = 'missing' ORDER BY path LIMIT 1"
_OF_MODELS = f"""{_SELECT} WHERE sha256 IN
    (SELECT f.sha256 FROM files f JOIN versions v ON v.id = f.version_id WHERE v.model_id IN (%s))"""  # noqa: S608


def put(
    db: sqlite3.Connection,
    seen: Seen,
    *,
    root: str,
    sha256: str | None,
    problem: str | None,
    at: str,
    verified_at: str | None = None,
) -> None:
    """Write a place that was found just now; with a ``problem`` it is damaged."""
    db.execute(
        "INSERT OR REPLACE INTO places "
        "(path, root, sha256, size, mtime_ns, device, inode, state, problem, seen_at, verified_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            seen.path, root, sha256, seen.size, seen.mtime_ns, seen.device, seen.inode,
            DAMAGED if problem else PRESENT, problem, at, verified_at,
        ),
    )  # fmt: skip


def mark_missing(db: sqlite3.Connection, path: str, at: str) -> None:
    """``seen_at`` of a missing place is when it was missed first."""
    db.execute("UPDATE places SET state = ?, seen_at = ? WHERE path = ?", (MISSING, at, path))


def mark_offline(db: sqlite3.Connection, paths: Iterable[str], at: str) -> None:
    """Their drive is away. What was missed before is still missing; ``seen_at`` becomes when the drive was missed."""
    sql = "UPDATE places SET state = ?, seen_at = ? WHERE path = ? AND state NOT IN (?, ?)"
    db.executemany(sql, [(OFFLINE, at, path, OFFLINE, MISSING) for path in paths])


def mark_seen(db: sqlite3.Connection, files: Iterable[Seen], at: str) -> None:
    """They lie where they lay: back from being away, or their drive has another number since it was mounted again."""
    sql = "UPDATE places SET state = iif(problem IS NULL, ?, ?), device = ?, seen_at = ? WHERE path = ?"
    db.executemany(sql, [(PRESENT, DAMAGED, seen.device, at, seen.path) for seen in files])


def mark_verified(db: sqlite3.Connection, place: Known, problem: str | None, at: str) -> None:
    """Its bytes are the known ones; ``problem`` says why they are still no good. Not if it was scanned meanwhile."""
    _judge(db, place, DAMAGED if problem else PRESENT, problem, at, place.mtime_ns)


def mark_doubtful(db: sqlite3.Connection, place: Known, problem: str, *, again: bool) -> None:
    """Its bytes are others than the known ones, or can't be read; with ``again`` the next scan tries to read them."""
    _judge(db, place, DAMAGED, problem, None, UNREAD if again else place.mtime_ns)


def _judge(
    db: sqlite3.Connection, place: Known, state: str, problem: str | None, verified_at: str | None, mtime_ns: int
) -> None:
    sql = (
        "UPDATE places SET state = ?, problem = ?, verified_at = ?, mtime_ns = ? "
        "WHERE path = ? AND sha256 = ? AND mtime_ns = ?"
    )
    db.execute(sql, (state, problem, verified_at, mtime_ns, place.path, place.sha256, place.mtime_ns))


def forget(db: sqlite3.Connection, path: str) -> None:
    """Nothing lies there any more, nor what lay beside it."""
    db.execute("DELETE FROM places WHERE path = ?", (path,))
    db.execute("DELETE FROM sidecars WHERE place = ?", (path,))


def _signed(number: int) -> int:
    """Some network file systems number inodes with all 64 bits; SQLite has 63 and a sign."""
    return number - (1 << 64) if number >= 1 << 63 else number
