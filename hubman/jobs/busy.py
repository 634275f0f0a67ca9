"""Whether a job needs the machine so much that hashing must wait."""

from __future__ import annotations

from collections.abc import Callable

from hubman.jobs.store import is_alive
from registry.database import Registry

HEAVY = ("caption", "extract", "generate", "merge", "resize", "showcase", "sweep", "train")
"""Kinds of jobs that use all of the machine."""

_MARKS = ", ".join("?" * len(HEAVY))
_RUNNING = f"SELECT pid, pid_started FROM jobs WHERE state = 'running' AND kind IN ({_MARKS})"  # noqa: S608 - of marks only


def may_hash(registry: Registry) -> Callable[[], bool]:
    """For :func:`registry.scan.scan`: no while a heavy job runs, in whatever process; for the thread of ``registry``."""

    def nothing_heavy_runs() -> bool:
        rows = registry.db.execute(_RUNNING, HEAVY).fetchall()
        return not any(row[0] is not None and is_alive(row[0], row[1]) for row in rows)

    return nothing_heavy_runs
