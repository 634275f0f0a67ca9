"""Where a model's weights are: on this machine, on others or a remote, on every machine, or nowhere that is known of.

A column of the listing, kept true by whatever changes a place, a holding or a device, so that no list asks for it.
It is that of the newest version, whose other facts lists show too.
"""

# ruff: noqa: S608 - fixed texts

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Literal, get_args

from registry import many

Where = Literal["here", "elsewhere", "everywhere", "nowhere"]
"""``everywhere``: here and on each other machine that is not retired, of which there is one. ``elsewhere``: not here."""

NAMES: tuple[str, ...] = get_args(Where)

ON_REMOTE = "remote"
"""What a device says to have of a file that it let go of because a remote has it."""

RETIRED = "retired"
"""The field of a device's id that says so, of which the last word counts."""

_OTHERS = f"""
SELECT d.id FROM devices d WHERE d.seen_at IS NOT NULL AND d.id <> (SELECT value FROM meta WHERE key = 'device')
    AND NOT EXISTS (SELECT 1 FROM facts r WHERE r.item = d.id AND r.field = '{RETIRED}' AND r.source = 'user' AND r.value = 'true')
"""
_HELD = """
SELECT 1 FROM files f CROSS JOIN holdings h ON h.device = o.id AND h.sha256 = f.sha256
    WHERE f.version_id = m.version_id AND h.state = 'present'
"""
_STATE = f"""
CASE WHEN EXISTS (SELECT 1 FROM files f CROSS JOIN places p ON p.sha256 = f.sha256
        WHERE f.version_id = m.version_id AND p.state <> 'missing')
    THEN iif(EXISTS ({_OTHERS}) AND NOT EXISTS (SELECT 1 FROM ({_OTHERS}) o WHERE NOT EXISTS ({_HELD})), 'everywhere', 'here')
WHEN EXISTS (SELECT 1 FROM ({_OTHERS}) o WHERE EXISTS ({_HELD}))
    OR EXISTS (SELECT 1 FROM files f CROSS JOIN devices o CROSS JOIN holdings h ON h.device = o.id AND h.sha256 = f.sha256
        WHERE f.version_id = m.version_id AND h.state = '{ON_REMOTE}')
    OR EXISTS (SELECT 1 FROM files f CROSS JOIN remotes r CROSS JOIN remote_blobs b ON b.remote = r.repo AND b.sha256 = f.sha256
        WHERE f.version_id = m.version_id)
    THEN 'elsewhere' ELSE 'nowhere' END
"""
_REFRESH = f"UPDATE listing SET whereabouts = (SELECT {_STATE} FROM models m WHERE m.search_id = listing.number)"
_OF_FILES = """
SELECT m.search_id FROM json_each(?) j CROSS JOIN files f ON f.sha256 = j.value CROSS JOIN versions v ON v.id = f.version_id
    CROSS JOIN models m ON m.id = v.model_id WHERE m.version_id = v.id
"""


def of_models(db: sqlite3.Connection, models: Iterable[str]) -> dict[str, Where]:
    """What the listing's column says of each."""
    sql = f"SELECT m.id, {_STATE} FROM json_each(?) j CROSS JOIN models m ON m.id = j.value"
    return dict(db.execute(sql, (many.listed(models),)).fetchall())


def refresh_files(db: sqlite3.Connection, files: Iterable[str]) -> None:
    """A device said something else of these files (SHA-256). Call inside a transaction."""
    db.execute(f"{_REFRESH} WHERE number IN ({_OF_FILES})", (many.listed(files),))


def refresh_all(db: sqlite3.Connection) -> None:
    """A device came or went, or a remote was forgotten. Call inside a transaction."""
    db.execute(_REFRESH)
