"""The one that works the queue of downloads off, an item at a time, each to its end or to a clear reason."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from hubman.civitai.client import Civitai
from hubman.civitai.errors import RateLimitError, UnavailableError
from hubman.civitai.pull import PulledModel, pull
from hubman.jobs.store import process_start
from hubman.progress import Progress, Report
from registry import pull_queue
from registry.database import Registry
from registry.errors import CancelledError, HubError
from registry.pull_queue import Got, PullItem

TRIES = 3
"""So often an item is begun anew, each time behind the others, when the site or the network fails."""

_EVERY_S = 0.5

Connect = Callable[[str | None], Civitai]
Stop = Callable[[], bool]


def drain(
    registry: Registry,
    connect: Connect,
    report: Report,
    should_stop: Stop,
    at_end: Callable[[sqlite3.Connection], None],
) -> dict[str, int]:
    """Download until nothing waits; counts of items ``done`` and ``failed``.

    ``at_end`` is called in the transaction that finds the queue empty. Raises :class:`CancelledError` once
    ``should_stop`` says so; what was under way waits then.
    """
    counts = {"done": 0, "failed": 0}
    pid = os.getpid()
    while number := pull_queue.claim(registry, pid, process_start(pid), at_end):
        item = pull_queue.get(registry, number)
        try:
            pulled = _pull(registry, connect(item.site), item, report, should_stop)
        except CancelledError:
            if should_stop():
                pull_queue.recover(registry, lambda owner, _started: owner != pid)
                raise
        except RateLimitError as error:
            pull_queue.put_back(registry, number, str(error))
            pull_queue.pause(registry, None, str(error))
        except HubError as error:
            if isinstance(error, UnavailableError) and item.tries < TRIES:
                pull_queue.put_back(registry, number, str(error))
                continue
            pull_queue.fail(registry, number, str(error))
            counts["failed"] += 1
        else:
            pull_queue.finish(registry, number, pulled)
            counts["done"] += 1
    return counts


def _pull(registry: Registry, client: Civitai, item: PullItem, report: Report, should_stop: Stop) -> Got:
    into = Path(item.into) if item.into else registry.models_folder / "pulled"
    pulled = pull(registry, client, item.ref, into=into, report=_noting(registry, item, report, should_stop))
    return _got(pulled)


def _got(pulled: PulledModel) -> Got:
    return Got(
        version_id=pulled.version_id, path=pulled.path, sha256=pulled.sha256, size=pulled.path.stat().st_size,
        remote_version=0, remote_file=0,
    )  # fmt: skip


def _noting(registry: Registry, item: PullItem, report: Report, should_stop: Stop) -> Report:
    """``report`` that also writes the item's row, and stops the download when somebody paused or removed it."""
    last = 0.0

    def told(event: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if should_stop():
            raise CancelledError("stopped", "hubman queue run goes on from here")
        if now - last < _EVERY_S:
            return
        last = now
        done, total = (int(event.done), int(event.total)) if event.unit == "B" else (item.done, item.total)
        if not pull_queue.progress(registry, item.id, title=item.title, done=done, total=total):
            raise CancelledError("paused", "hubman queue resume goes on from here")
        report(event)

    return told
