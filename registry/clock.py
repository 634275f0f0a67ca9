"""The hybrid logical clock: stamps that sort in the order in which edits could have known of each other.

A stamp is 16 hex digits (48 bits of milliseconds, a 16-bit counter), ``-`` and the device id, and compares as a
string. An edit always beats what its author had seen, whatever the wall clocks say.
"""

from __future__ import annotations

import sqlite3
import time

from registry.errors import HubError

STAMP_LENGTH = 33
_COUNTER_BITS = 16
TOO_FAR_AHEAD_MS = 366 * 24 * 3600 * 1000
_NEVER_AHEAD_MS = 10 * TOO_FAR_AHEAD_MS


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def stamp_ms(stamp: str) -> int:
    """The milliseconds since 1970 inside ``stamp``."""
    return int(stamp[:16], 16) >> _COUNTER_BITS


def device_of(stamp: str) -> str:
    return stamp[17:]


def device_id(db: sqlite3.Connection) -> str:
    (value,) = db.execute("SELECT value FROM meta WHERE key = 'device'").fetchone()
    return str(value)


def tick(db: sqlite3.Connection) -> str:
    """A new stamp, later than every stamp made or seen here; stored in the caller's transaction."""
    value, device = db.execute(_TICK, (wall_ms() << _COUNTER_BITS,)).fetchone()
    return f"{int(value):016x}-{device}"


# Two copies of one database have the same id and the same last stamp: where both their clocks run behind that, only
# chance keeps them from giving one stamp to two edits.
_TICK = (
    "UPDATE meta SET value = CAST(max(CAST(value AS INTEGER) + 1 + (random() & 1023), ?) AS TEXT) WHERE key = 'clock' "
    "RETURNING value, (SELECT value FROM meta WHERE key = 'device')"
)


def at_least(value: int, device: str) -> str:
    """A stamp of now, or of the clock ``value`` if that is later; it stamps no change."""
    return f"{max(value, wall_ms() << _COUNTER_BITS):016x}-{device}"


def observe(db: sqlite3.Connection, stamp: str) -> None:
    """Move the clock past a stamp that came from elsewhere.

    Raises :class:`HubError` for a stamp more than a year ahead, which would drag every later edit with it, unless a
    person released its device; and for one more than ten years ahead, whoever it is of.
    """
    last = _last(db)
    ahead = stamp_ms(stamp) - max(wall_ms(), last >> _COUNTER_BITS)
    if ahead > TOO_FAR_AHEAD_MS:
        device = device_of(stamp)
        if ahead > _NEVER_AHEAD_MS:
            raise HubError(f"device {device} claims a year that is far from now", "set its clock, then forget it")
        if not db.execute("SELECT 1 FROM released WHERE device = ?", (device,)).fetchone():
            raise HubError(
                f"device {device} has a clock more than a year ahead",
                f"set its clock; hubman device release {device} takes its changes all the same",
            )
    value = int(stamp[:16], 16)
    if value > last:
        _store(db, value)


def _last(db: sqlite3.Connection) -> int:
    (value,) = db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()
    return int(value)


def _store(db: sqlite3.Connection, value: int) -> None:
    db.execute("UPDATE meta SET value = ? WHERE key = 'clock'", (str(value),))
