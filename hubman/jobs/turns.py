"""Whose turn it is: jobs that fill the machine, or that sync, run one after the other, in the order in which they were started.

Each waits in its own process, which sleeps nearly all the time: so the next one begins however the former ended, also
when that was killed.
"""

from __future__ import annotations

import time

import msgspec

from hubman import config
from hubman.jobs import store
from hubman.jobs.records import Job
from registry import timestamps
from registry.database import Registry

TAKE_TURNS = (frozenset({"train"}), frozenset({"sync", "check", "fetch", "drop"}))
"""Kinds of jobs that wait for one another: those that fill the machine, and those that need the one lock of sync."""

POLL_S = 0.5
_STARTING_S = 30.0
"""A job that is written down but has no process yet counts as waiting for so long."""


def wait(registry: Registry, job: Job) -> bool:
    """Mark ``job`` as running in this process once it is its turn; False if it was cancelled before.

    A job that is paused while it waits lets the others go first.
    """
    while (current := store.get(registry, job.id)).state == "queued":
        # Looked at first without the lock that all writers share.
        if not current.pause_path.exists() and _is_turn(registry, current):
            with registry.transaction():
                if _is_turn(registry, current):
                    return store.begin(registry, job.id)
        time.sleep(POLL_S)
    return False


def ahead(registry: Registry, job: Job) -> list[Job]:
    """The jobs that ``job`` waits for: those that run, then those that were started before it."""
    kinds = _turn_of(job)
    if not kinds or job.state != "queued":
        return []
    rows = registry.db.execute(
        "SELECT id FROM jobs WHERE kind IN (SELECT value FROM json_each(:kinds)) AND id <> :id AND (state = 'running' OR (state = 'queued' "
        "AND (created_at, id) < (:created_at, :id))) ORDER BY state = 'queued', created_at, id",
        {"kinds": msgspec.json.encode(sorted(kinds)).decode(), "id": job.id, "created_at": job.created_at},
    ).fetchall()
    others = [store.look(registry, row["id"]) for row in rows]
    return [other for other in others if not other.ended and _counts(other)]


def _is_turn(registry: Registry, job: Job) -> bool:
    if not _turn_of(job):
        return True
    at_once = int(config.settings(registry.home)[0].trainings) if job.kind == "train" else 1
    return len(ahead(registry, job)) < at_once


def _turn_of(job: Job) -> frozenset[str]:
    """The kinds that ``job`` takes turns with; none for one that never waits."""
    return next((kinds for kinds in TAKE_TURNS if job.kind in kinds), frozenset())


def _counts(other: Job) -> bool:
    if other.state == "running":
        return True
    age = time.time() - timestamps.parse(other.created_at).timestamp()
    return not other.pause_path.exists() and (other.pid is not None or abs(age) < _STARTING_S)
