"""Jobs that move the collection between machines, or look after what lies on a remote: sync, check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hubman.jobs.handlers.collection import plain
from hubman.jobs.records import Job
from hubman.progress import Report
from registry.database import Registry

Stop = Callable[[], bool]


def sync(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``remote``, optional ``deep``."""
    from hubman.sync.run import sync as sync_remote

    deep = bool(job.request.get("deep", False))
    return plain(sync_remote(registry, job.request["remote"], report=report, should_stop=should_stop, deep=deep))


def check(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``remote``. The result's ``findings`` are as :class:`hubman.sync.check.Finding`."""
    del report, should_stop
    from hubman.sync.check import check as check_remote

    return {"findings": msgspec.to_builtins(check_remote(registry, job.request["remote"]))}
