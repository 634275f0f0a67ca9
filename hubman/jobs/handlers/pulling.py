"""The job that downloads what is queued."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any

from hubman.jobs.records import Job
from hubman.progress import Report
from registry import timestamps
from registry.database import Registry
from registry.locks import in_turn


def drain(registry: Registry, job: Job, report: Report, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Work the queue off; the request is empty. Result: how many items are ``done`` and how many ``failed``."""
    from hubman.civitai import downloader
    from hubman.civitai.client import Civitai
    from hubman.civitai.session import connect

    opened: dict[str | None, Civitai] = {}
    # There is one such job at a time; another may still be on its way out.
    with contextlib.ExitStack() as clients, in_turn(registry, "downloads"):

        def client_of(site: str | None) -> Civitai:
            if site not in opened:
                opened[site] = clients.enter_context(connect(registry.home, site))
            return opened[site]

        def leave(db: sqlite3.Connection) -> None:
            # From here on whoever adds something starts another job.
            db.execute("UPDATE jobs SET state = 'done', finished_at = ? WHERE id = ?", (timestamps.now(), job.id))

        return dict(downloader.drain(registry, client_of, report, should_stop, leave))
