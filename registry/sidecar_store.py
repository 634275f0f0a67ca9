"""Which sidecar said what of which file: a table of what lies on this disk, and the dialects that a person chose."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from registry import timestamps
from registry.errors import UsageError
from registry.sidecar_dialects import NAMES, Mode
from registry.sidecar_forms import WRITERS
from registry.sidecar_record import Part, Sidecar, together
from registry.sidecars import dialect_of

_SETTING = "sidecar_dialects"
UNPLACED = "unplaced"
"""Under which a row names the keys that hubman has no place for."""

_LONGEST = 400
"""Characters of a text that a row keeps; of a longer one it keeps the beginning and a hash."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One sidecar as it was read last. ``said`` maps fields to values; ``problem``: why it could not be understood."""

    sha256: str
    path: str
    place: str
    dialect: str
    digest: str | None
    said: dict[str, Any]
    is_of_other: bool
    problem: str | None
    read_at: str


def keep(
    db: sqlite3.Connection, place: str, sha256: str, said: Sidecar | None, broken: Iterable[tuple[Path, str]] = ()
) -> None:
    """Note what the sidecars beside the model file ``place`` say of its content, instead of what they said before."""
    now = timestamps.now()
    modes = dialects(db)
    db.execute("DELETE FROM sidecars WHERE place = ?", (place,))
    rows: list[tuple[Any, ...]] = [
        (
            sha256,
            str(part.path),
            place,
            part.dialect,
            part.digest,
            _encoded(fields_of(part.said)),
            part.is_of_other,
            None,
            now,
        )
        for part in (said.parts if said else ())
        if modes[part.dialect] != "off"
    ]
    for path, reason in broken:
        dialect = dialect_of(path.name, Path(place).name).name
        if modes[dialect] != "off":
            rows.append((sha256, str(path), place, dialect, None, "{}", False, reason, now))
    db.executemany("INSERT OR REPLACE INTO sidecars VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def fields_of(said: Sidecar) -> dict[str, Any]:
    """All that one sidecar says, by field; long texts cut as :func:`cut` does."""
    found: dict[str, Any] = {**said.model, **said.version}
    found |= {name: text for name in ("notes", "description", "changelog", "sha256") if (text := getattr(said, name))}
    found |= {name: list(values) for name in ("trigger_words", "tags") if (values := getattr(said, name))}
    if said.word_origins:
        found["word_origins"] = dict(said.word_origins)
    if said.unplaced:
        found[UNPLACED] = list(said.unplaced)
    if said.preview_level:
        found["preview_level"] = said.preview_level
    if said.is_unknown_upstream:
        found["not_on_civitai"] = True
    return {name: cut(value) for name, value in found.items()}


def cut(value: Any) -> Any:
    """A value as the table holds it: two texts are cut to the same one only if they are the same."""
    if not isinstance(value, str) or len(value) <= _LONGEST:
        return value
    digest = hashlib.sha256(value.encode()).hexdigest()[:12]
    return f"{value[:_LONGEST]}… ({len(value):,} characters, {digest})"


def _encoded(fields: Mapping[str, Any]) -> str:
    return msgspec.json.encode(fields, order="sorted").decode()


def rows_of(db: sqlite3.Connection, version: str) -> list[Row]:
    """The sidecars of all files of a version, the most trusted dialect first."""
    sql = "SELECT s.* FROM sidecars s JOIN files f ON f.sha256 = s.sha256 WHERE f.version_id = ? ORDER BY s.path"
    found = [_row(row) for row in db.execute(sql, (version,))]
    return sorted(found, key=lambda row: NAMES.index(row.dialect) if row.dialect in NAMES else len(NAMES))


def said_before(db: sqlite3.Connection, version: str, read: Sidecar) -> list[Row]:
    """What sidecars said of a version until now; of one that is new under its name what these ones said before it had it."""
    found = rows_of(db, version)
    paths = [] if found else [str(part.path) for part in read.parts]
    for path in paths:
        found += [_row(row) for row in db.execute("SELECT * FROM sidecars WHERE path = ?", (path,)).fetchall()]
    return found


def rows_below(db: sqlite3.Connection, folder: Path) -> list[Row]:
    """The sidecars of the model files in ``folder`` and below."""
    start = f"{str(folder).rstrip('/')}/"
    rows = db.execute("SELECT * FROM sidecars WHERE place >= ? AND place < ? ORDER BY path", (start, start[:-1] + "0"))
    return [_row(row) for row in rows]


def _row(row: sqlite3.Row) -> Row:
    return msgspec.convert({**dict(row), "said": msgspec.json.decode(row["said"])}, Row, strict=False)


def move(db: sqlite3.Connection, source: str, target: str) -> None:
    """A file was moved, a model or what lies beside one."""
    db.execute("UPDATE sidecars SET place = ? WHERE place = ?", (target, source))
    for row in db.execute("SELECT sha256 FROM sidecars WHERE path = ?", (source,)).fetchall():
        db.execute("DELETE FROM sidecars WHERE sha256 = ? AND path = ?", (row[0], target))
        db.execute("UPDATE sidecars SET path = ? WHERE sha256 = ? AND path = ?", (target, row[0], source))


# the dialects that are read and written ---------------------------------------------------------------------------------


def dialects(db: sqlite3.Connection) -> dict[str, Mode]:
    """What is done with each dialect; unless a person says otherwise it is read and not written."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (_SETTING,)).fetchone()
    chosen = msgspec.json.decode(row[0], type=dict[str, Mode]) if row else {}
    return {name: chosen.get(name, "read") for name in NAMES}


def choose(db: sqlite3.Connection, modes: Mapping[str, str]) -> None:
    """Set what is done with these dialects. Raises :class:`UsageError` for one that isn't, or can't be written."""
    chosen: dict[str, str] = dict(dialects(db))
    for name, mode in modes.items():
        if name not in chosen:
            raise UsageError(f"there is no dialect {name}", f"use one of {', '.join(NAMES)}")
        if mode not in {"off", "read", "write"}:
            raise UsageError(f"{name} can't be {mode!r}", "say off, read or write")
        if mode == "write" and name not in WRITERS:
            raise UsageError(f"{name} can only be read", f"written are {', '.join(WRITERS)}")
        chosen[name] = mode
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_SETTING, msgspec.json.encode(chosen).decode()))


def wanted(db: sqlite3.Connection, said: Sidecar, sha256: str | None = None) -> Sidecar | None:
    """``said`` without the dialects that a person switched off."""
    modes = dialects(db)
    left: Sequence[Part] = [part for part in said.parts if modes[part.dialect] != "off"]
    return said if len(left) == len(said.parts) else together(left, sha256)
