"""Who has the weights of a version: machines as they said themselves, remotes as this machine knows them."""

from __future__ import annotations

import msgspec

from hubman.sync.care import devices
from hubman.sync.policies import policy
from registry import clock
from registry.database import Registry
from registry.here import is_here

_HELD = """
SELECT DISTINCT h.device FROM files f JOIN holdings h ON h.sha256 = f.sha256
WHERE f.version_id = ? AND h.state = 'present'
"""
_SENT = """
SELECT DISTINCT r.name FROM files f JOIN remote_blobs b ON b.sha256 = f.sha256 JOIN remotes r ON r.repo = b.remote
WHERE f.version_id = ? ORDER BY r.name
"""
_FILES = "SELECT sha256, size FROM files WHERE version_id = ?"


class Holders(msgspec.Struct, frozen=True, kw_only=True):
    """Of one version. ``missing_bytes`` are those of its files that are not on this machine."""

    is_here: bool = False
    others: tuple[str, ...] = ()
    """Names of other machines in use that have a file of it."""
    remotes: tuple[str, ...] = ()
    is_pinned: bool = False
    """Whether this machine keeps it whatever its policy says of others."""
    bytes: int = 0
    missing_bytes: int = 0
    is_shared: bool = False
    """Whether there is a remote or another machine at all."""


def of_version(registry: Registry, version_id: str) -> Holders:
    """Nothing is asked of any remote."""
    db = registry.db
    this = clock.device_id(db)
    gone = devices.retired(db)
    held = [row[0] for row in db.execute(_HELD, (version_id,))]
    files = db.execute(_FILES, (version_id,)).fetchall()
    missing = sum(row["size"] for row in files if not is_here(db, row["sha256"]))
    return Holders(
        is_here=any(is_here(db, row["sha256"]) for row in files),
        others=tuple(sorted(devices.name_of(db, one) for one in held if one != this and one not in gone)),
        remotes=tuple(row[0] for row in db.execute(_SENT, (version_id,))),
        is_pinned=version_id in policy.pinned(db, this),
        bytes=sum(row["size"] for row in files),
        missing_bytes=missing,
        is_shared=is_shared(registry),
    )


def is_shared(registry: Registry) -> bool:
    """Whether there is a remote, or another machine of this collection is known."""
    sql = "SELECT 1 FROM remotes UNION ALL SELECT 1 FROM devices WHERE id <> ? AND seen_at IS NOT NULL LIMIT 1"
    return registry.db.execute(sql, (clock.device_id(registry.db),)).fetchone() is not None
