"""What is left of the machine's allowance for the site's API: for a line of status, so it loads no HTTP library."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from hubman.civitai import auth, pace
from hubman.civitai.ledger import read_only
from hubman.civitai.limiter import api_lane, ledger_path, load_lane
from hubman.civitai.limits import limits_for
from hubman.civitai.pace import Lane


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that may be sent at once, of how many after a rest; seconds of a pause (0: none) and its reason."""

    left: int
    limit: int
    paused_for: float = 0.0
    why: str = ""


def read(home: Path, site: str | None = None, *, clock: Callable[[], float] = time.time) -> Budget:
    """The budget of ``site`` (the configured one) as all processes of ``home`` share it. Never waits for a lock.

    Raises :class:`registry.errors.UsageError` for a bad ``$HUBMAN_CIVITAI_URL`` or ``$HUBMAN_CIVITAI_RATE``.
    """
    name = api_lane(site or auth.site_url())
    limits = limits_for(name)
    lane, now = Lane(), clock()
    with contextlib.suppress(sqlite3.Error), contextlib.closing(read_only(ledger_path(home))) as db:
        lane = load_lane(db, name)
    lane = pace.refilled(lane, limits, now)
    paused_for = max(0.0, lane.paused_until - now, lane.open_until - now)
    left = int((limits.burst if lane.tokens is None else lane.tokens) + 1e-6)
    return Budget(left=left, limit=int(limits.burst), paused_for=paused_for, why=lane.why if paused_for else "")
