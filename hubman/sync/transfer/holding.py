"""Whether files may move now: not while a person has paused them, nor outside the hours of this machine's policy.

What people write of their models goes on meanwhile; only weights and pictures wait, and go on where they were.
"""

from __future__ import annotations

import re
import sqlite3
from datetime import datetime

from hubman.sync.policies.policy import Policy
from registry.database import Registry
from registry.errors import UsageError

_PAUSED = "sync_paused"
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class HeldError(Exception):
    """Files stopped moving because they were paused or their hours ended; the text says which."""


def pause(registry: Registry) -> None:
    """Hold every transfer of this machine; a sync that moves files stops at its next look and keeps what has come."""
    with registry.transaction() as db:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, '1')", (_PAUSED,))


def resume(registry: Registry) -> None:
    """Let files move again, from the next sync on."""
    with registry.transaction() as db:
        db.execute("DELETE FROM meta WHERE key = ?", (_PAUSED,))


def is_paused(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM meta WHERE key = ?", (_PAUSED,)).fetchone() is not None


def reason(db: sqlite3.Connection, policy: Policy) -> str:
    """Why no file may move now, in words for a person; empty when all may."""
    if is_paused(db):
        return "transfers are paused: hubman sync --resume lets them go on"
    if waits_until(policy):
        return f"files move between {policy.window.replace('-', ' and ')} only, as this machine's policy says"
    return ""


def waits_until(policy: Policy) -> str:
    """``HH:MM`` (local time) at which the hours of ``policy`` begin; empty within them."""
    now = datetime.now().astimezone()
    if policy.window and not is_within(policy.window, now.hour * 60 + now.minute):
        return policy.window.partition("-")[0]
    return ""


def is_within(window: str, minute: int) -> bool:
    """Whether a minute of the day (0 to 1439) lies in ``HH:MM-HH:MM``, which may pass midnight; equal ends mean always.

    Raises :class:`UsageError` for what is no window.
    """
    found = _WINDOW.fullmatch(window)
    if found is None:
        raise UsageError(f"{window!r} is no window of time", "write for example 01:00-07:00")
    start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if start < end:
        return start <= minute < end
    return start == end or minute >= start or minute < end
