"""The machines that share this collection: who they are, what they hold, when they were heard of, which are gone.

A device says its policy and what it holds itself (``dev`` and ``have`` changes). Its name and that it was forgotten
anybody may say: fields of the device's id, of which the last word counts, as for models.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import msgspec

from hubman.sync.policies.policy import Policy, of_device
from registry import changes, clock, timestamps
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from registry.whereabouts import RETIRED

_NAME = "name"
_MAX_NAME = 64
# CROSS: devices are few, and SQLite would look through all facts.
_SAID = "SELECT d.id, f.value FROM devices d CROSS JOIN facts f ON f.item = d.id AND f.field = ? AND f.source = 'user'"
_HELD = """
SELECT h.device, count(DISTINCT v.model_id) AS models, coalesce(sum(f.size), 0) AS bytes
FROM holdings h JOIN files f ON f.sha256 = h.sha256 LEFT JOIN versions v ON v.id = f.version_id
WHERE h.state = 'present' GROUP BY h.device
"""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A machine, or what was one: every restored or copied registry goes on under a new id."""

    id: str
    name: str
    is_this: bool = False
    last_seen: str | None = None
    """The time of its newest head or word; None for one that only others spoke of."""
    policy: Policy
    app_version: str = ""
    models_here: int = 0
    bytes_here: int = 0
    """What of the collection it holds, as it said itself."""
    retired: bool = False
    """Forgotten: what it holds no longer counts, and nothing waits for it."""


def all_devices(registry: Registry) -> list[Device]:
    """All of them: the one that asks first, then those in use by name, then those that were forgotten."""
    db = registry.db
    this = clock.device_id(db)
    names, gone, heads = _said(db, _NAME), retired(db), _heads(db)
    held = {row["device"]: row for row in db.execute(_HELD)}
    devices = [
        Device(
            id=row["id"],
            name=str(names.get(row["id"]) or row["name"] or row["id"]),
            is_this=row["id"] == this,
            last_seen=timestamps.now() if row["id"] == this else _last_seen(row["seen_at"], heads.get(row["id"])),
            policy=of_device(db, row["id"]),
            app_version=row["app_version"],
            models_here=held[row["id"]]["models"] if row["id"] in held else 0,
            bytes_here=held[row["id"]]["bytes"] if row["id"] in held else 0,
            retired=row["id"] in gone,
        )
        for row in db.execute("SELECT * FROM devices")
    ]
    return sorted(devices, key=lambda one: (not one.is_this, one.retired, one.name.lower(), one.id))


def find(registry: Registry, ref: str) -> Device:
    """The device of this name, or whose id begins so. Raises :class:`NotFoundError` or :class:`UsageError`."""
    known = all_devices(registry)
    found = [one for one in known if one.id == ref] or [one for one in known if one.name == ref and not one.retired]
    found = found or [one for one in known if one.name == ref or (len(ref) >= 4 and one.id.startswith(ref))]
    if not found:
        raise NotFoundError(f"there is no device {ref}", "hubman device ls")
    if len(found) > 1:
        raise UsageError(f"{len(found)} devices are called {ref}", f"say which: {', '.join(one.id for one in found)}")
    return found[0]


def name_of(db: sqlite3.Connection, device: str) -> str:
    """What a person calls a device; its id where nobody said a name."""
    said = _said(db, _NAME).get(device)
    row = db.execute("SELECT name FROM devices WHERE id = ?", (device,)).fetchone()
    return str(said or (row[0] if row else "") or device)


def names(db: sqlite3.Connection) -> dict[str, str]:
    """The ids of all devices to what a person calls them."""
    said = _said(db, _NAME)
    return {row["id"]: str(said.get(row["id"]) or row["name"]) for row in db.execute("SELECT id, name FROM devices")}


def retired(db: sqlite3.Connection) -> frozenset[str]:
    """The ids of the devices that were forgotten."""
    return frozenset(device for device, value in _said(db, RETIRED).items() if value is True)


def retire(registry: Registry, device: str) -> None:
    """Forget a device, by its id: on every machine what it holds and pins counts no more and nothing waits for it.

    It comes back by itself when it syncs again. Raises :class:`UsageError` for this machine.
    """
    if device == clock.device_id(registry.db):
        raise UsageError("this machine can't forget itself", "forget it on another one")
    _say(registry, device, RETIRED, True)


def come_back(registry: Registry) -> bool:
    """Say that this machine is in use, where another one forgot it; True if so."""
    device = clock.device_id(registry.db)
    if device not in retired(registry.db):
        return False
    _say(registry, device, RETIRED, None)
    return True


def rename(registry: Registry, device: str, name: str) -> None:
    """Call a device, by its id, ``name`` on every machine. Raises :class:`UsageError`."""
    text = name.strip()
    if not text or len(text) > _MAX_NAME or not text.isprintable():
        raise UsageError("a device's name has 1 to 64 printable characters", "choose another name")
    _say(registry, device, _NAME, text)


def release(registry: Registry, device: str) -> None:
    """Take a device's changes although its clock is more than a year ahead. Edits made here then count as later ones."""
    with registry.transaction() as db:
        db.execute("INSERT OR REPLACE INTO released VALUES (?, ?)", (device, timestamps.now()))


def _say(registry: Registry, device: str, field: str, value: object) -> None:
    with registry.transaction() as db:
        changes.record(db, [changes.set_field(db, device, "user", field, value)])


def _said(db: sqlite3.Connection, field: str) -> dict[str, object]:
    return {row[0]: msgspec.json.decode(row[1]) for row in db.execute(_SAID, (field,))}


def _heads(db: sqlite3.Connection) -> dict[str, sqlite3.Row]:
    sql = "SELECT device, max(hlc) AS hlc, max(seen_at) AS seen_at FROM heads_seen GROUP BY device"
    return {row["device"]: row for row in db.execute(sql)}


def _last_seen(said: str | None, head: sqlite3.Row | None) -> str | None:
    """The time of its newest stamp; a clock that is ahead can't have been seen later than it was read."""
    stamps = [stamp for stamp in (said, head["hlc"] if head else None) if stamp]
    if not stamps:
        return None
    latest = datetime.fromtimestamp(min(clock.stamp_ms(max(stamps)), clock.wall_ms()) / 1000, UTC)
    return timestamps.of(min(latest, timestamps.parse(head["seen_at"])) if head else latest)
