"""Jobs that look as if a process had worked on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.progress import Progress
from registry.database import Registry


def fake_job(
    registry: Registry,
    kind: str,
    title: str,
    request: dict[str, Any],
    *,
    state: str = "running",
    events: Sequence[Progress] = (),
    result: object = None,
    error: str | None = None,
) -> Job:
    """A job in this state with these events. A running one has the process that runs the tests."""
    job = store.add(registry, kind, title, request)
    with job.events_path.open("ab") as stream:
        for event in events:
            stream.write(msgspec.json.encode(event) + b"\n")
    if state in {"done", "failed", "cancelled"}:
        store.finish(registry, job.id, state, error=error, result=result)
    elif state == "running":
        with registry.transaction() as db:
            db.execute("UPDATE jobs SET state = 'running', started_at = created_at WHERE id = ?", (job.id,))
    return store.get(registry, job.id)
