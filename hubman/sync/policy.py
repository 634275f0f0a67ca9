"""What a device keeps of the collection: metadata always, pictures and weights as it likes."""

from __future__ import annotations

import sqlite3
from typing import Literal

import msgspec

import hubman
from registry import changes, clock, library, projection
from registry.database import Registry

PINS = "pins"
"""The set on a device's id that holds the versions whose weights it keeps."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """``weights``: fetch all, those of pinned versions, or none; ``upload``: whether this machine's weights go up."""

    weights: Literal["all", "pinned", "none"] = "all"
    previews: Literal["all", "none"] = "all"
    upload: Literal["yes", "no"] = "yes"


def of_device(db: sqlite3.Connection, device: str) -> Policy:
    """A device's policy; what this version can't read counts as the default."""
    row = db.execute("SELECT policy FROM devices WHERE id = ?", (device,)).fetchone()
    try:
        return msgspec.json.decode(row[0], type=Policy) if row else Policy()
    except msgspec.MsgspecError:
        return Policy()


def set_policy(registry: Registry, policy: Policy) -> None:
    """Change this machine's policy; what it now wants is fetched and sent by the next syncs."""
    from hubman.sync import queue

    with registry.transaction() as db:
        device = clock.device_id(db)
        _say(db, device, policy)
        queue.want_everything(registry, device, policy)


def introduce(registry: Registry) -> None:
    """Say who this machine is, if it has not been said or the version of hubman is another."""
    with registry.transaction() as db:
        device = clock.device_id(db)
        row = db.execute("SELECT app_version, seen_at FROM devices WHERE id = ?", (device,)).fetchone()
        if row is None or row["seen_at"] is None or row["app_version"] != hubman.__version__:
            introduce_as(db, device)


def introduce_as(db: sqlite3.Connection, device: str) -> None:
    """Say who ``device`` is. Call inside a transaction."""
    _say(db, device, of_device(db, device))


def pin(registry: Registry, version_id: str) -> None:
    """Keep this version's weights here, whatever the policy says of others."""
    library.update_set(registry, clock.device_id(registry.db), PINS, add=[version_id])


def unpin(registry: Registry, version_id: str) -> None:
    library.update_set(registry, clock.device_id(registry.db), PINS, remove=[version_id])


def pinned(db: sqlite3.Connection, device: str) -> set[str]:
    return set(projection.members(db, device, PINS))


def _say(db: sqlite3.Connection, device: str, policy: Policy) -> None:
    (name,) = db.execute("SELECT name FROM devices WHERE id = ?", (device,)).fetchone()
    facts = {"name": name, "policy": msgspec.to_builtins(policy), "app_version": hubman.__version__}
    changes.record(db, [["dev", device, facts, clock.tick(db)]])
