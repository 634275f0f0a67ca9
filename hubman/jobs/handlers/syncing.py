"""Jobs that move the collection between machines, or look after what lies on a remote: sync, check, fetch, drop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubman.jobs.handlers.collection import plain
from hubman.jobs.records import Job
from hubman.progress import Report
from registry.database import Registry
from registry.errors import CancelledError, HubError

Stop = Callable[[], bool]


def sync(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``remote``, optional ``deep``."""
    from hubman.sync.run import sync as sync_remote

    deep = bool(job.request.get("deep", False))
    return plain(sync_remote(registry, job.request["remote"], report=report, should_stop=should_stop, deep=deep))


def check(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``remote``, optional ``repair``. The result is as :class:`hubman.sync.care.check.CheckResult`."""
    from hubman.sync.care import check as checking

    name: str = job.request["remote"]
    if job.request.get("repair"):
        return plain(checking.check_and_repair(registry, name, report=report, should_stop=should_stop))
    found = checking.check(registry, name, report=report, should_stop=should_stop)
    return plain(checking.CheckResult(findings=found))


def fetch(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``version_ids``. One that can't be had does not keep the others from coming.

    Raises :class:`HubError` at the end for those that did not come.
    """
    from hubman.sync.policies.fetching import fetch as fetch_version

    versions: list[str] = job.request["version_ids"]
    files = size = 0
    problems: list[HubError] = []
    for version in versions:
        try:
            got = fetch_version(registry, version, report=report, should_stop=should_stop)
        except CancelledError:
            raise
        except HubError as error:
            problems.append(error)
            continue
        files, size = files + got.files, size + got.bytes
    if problems:
        others = f" ({len(problems)} of {len(versions)} did not come)" if len(versions) > 1 else ""
        raise HubError(problems[0].message + others, problems[0].hint)
    return {"downloaded": files, "downloaded_bytes": size}


def drop(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``version_ids``. A file of which nobody is sure that a remote has it whole stays.

    Raises :class:`HubError` at the end where one stayed.
    """
    from hubman.sync.policies.removing import drop as drop_versions

    gone = drop_versions(registry, job.request["version_ids"], report=report, should_stop=should_stop)
    if gone.problems:
        more = f" (and {len(gone.problems) - 1} more)" if len(gone.problems) > 1 else ""
        freed = f"{gone.files} are gone; " if gone.files else ""
        raise HubError(f"{freed}{gone.problems[0]}{more}")
    return {"files": gone.files, "bytes": gone.bytes}
