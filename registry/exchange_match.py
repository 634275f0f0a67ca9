"""Finding the file of a line again: by its bytes, by its tensors, by Civitai's number.

Where the line tells no hash also by a name and size that are unique.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence

from registry.exchange import FileLine
from registry.hashing import NO_TENSORS


def version_of(db: sqlite3.Connection, files: Sequence[FileLine], civitai_version_id: int | None) -> str | None:
    """The version that holds one of these files, or None. What fits several versions fits none."""
    wanted = [("SELECT version_id FROM files WHERE sha256 = ?", file.sha256.lower()) for file in files]
    tensors = [file.autov3.lower() for file in files if file.autov3 and file.autov3 != NO_TENSORS]
    wanted += [("SELECT version_id FROM files WHERE autov3 = ?", one) for one in tensors]
    if civitai_version_id is not None:
        wanted.append(("SELECT id FROM versions WHERE civitai_id = ?", str(civitai_version_id)))
    for sql, value in wanted:
        if found := _only(db, sql, value):
            return found
    return next((found for file in files if (found := _by_name(db, file))), None)


def known_by(files: Sequence[FileLine], civitai_version_id: int | None) -> set[str | int]:
    """All by which :func:`version_of` may know one of these files: hashes, sizes in bytes, and :func:`number`."""
    found: set[str | int] = {number(civitai_version_id)}
    for file in files:
        found |= {file.sha256.lower() or file.size, (file.autov3 or "").lower()}
    return found - {""}


def number(civitai_version_id: int | None) -> str:
    """Civitai's number of a version as no hash is written; empty for none."""
    return "" if civitai_version_id is None else f"civitai:{civitai_version_id}"


def _only(db: sqlite3.Connection, sql: str, value: str) -> str | None:
    rows = db.execute(f"SELECT id FROM versions WHERE id IN ({sql}) LIMIT 2", (value,)).fetchall()  # noqa: S608 - ours
    return rows[0][0] if len(rows) == 1 else None


def _by_name(db: sqlite3.Connection, file: FileLine) -> str | None:
    """By the name under which it was seen first or lies now, together with its size."""
    # A file that has another hash is another one, and one that was not hashed yet will have its hash.
    if file.sha256 or not file.name or not 0 < file.size < 1 << 62:
        return None
    names = {file.name, *(os.path.basename(path) for path in file.paths)}  # noqa: PTH119 - a text stays a text
    rows = db.execute(
        "SELECT f.version_id, f.name, p.path FROM files f JOIN versions v ON v.id = f.version_id "
        "LEFT JOIN places p ON p.sha256 = f.sha256 WHERE f.size = ?",
        (file.size,),
    )
    found = {
        version
        for version, name, path in rows
        if name in names or (path and os.path.basename(path) in names)  # noqa: PTH119 - a text stays a text
    }
    return found.pop() if len(found) == 1 else None
