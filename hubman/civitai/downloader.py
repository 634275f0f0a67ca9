"""The one that works the queue of downloads off, an item at a time, each to its end or to a clear reason."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from hubman.civitai import terms
from hubman.civitai.client import Civitai
from hubman.civitai.errors import BusyError, CircuitOpenError, RateLimitError, UnavailableError, UnreachedError
from hubman.civitai.part import PartBusyError
from hubman.civitai.pull import PulledModel, Target, pull_file, targets
from hubman.civitai.pull_plan import entry
from hubman.civitai.refusals import DownloadLimitError
from hubman.civitai.transfer import Tuning
from hubman.jobs.store import process_start
from hubman.progress import Progress, Report
from hubman.rate import Limit
from registry import pull_queue
from registry.database import Registry
from registry.errors import CancelledError, HubError
from registry.pull_queue import Got, PullItem

TRIES = 3
"""So often an item is begun, each time behind the others, when the site or the network fails."""

_log = logging.getLogger(__name__)
_EVERY_S = 0.5
_REST_S = 30.0
_LONGEST_REST_S = 300.0
_LONGEST_OUTAGE_S = 12 * 3600.0
"""Seconds of rests in a row after which items fail although nothing was sent for them: the address may be wrong."""
_PASSING = (UnavailableError, RateLimitError, PartBusyError)
_UNSENT = (BusyError, CircuitOpenError, UnreachedError)

Connect = Callable[[str | None], Civitai]
Stop = Callable[[], bool]


def drain(
    registry: Registry,
    connect: Connect,
    report: Report,
    should_stop: Stop,
    at_end: Callable[[sqlite3.Connection], None],
    *,
    tuning: Tuning | None = None,
) -> dict[str, int]:
    """Download until nothing waits; counts of items ``done`` and ``failed``.

    ``at_end`` is called in the transaction that finds the queue empty. Raises :class:`CancelledError` once
    ``should_stop`` says so; what was under way waits then.
    """
    counts, rested = {"done": 0, "failed": 0}, 0.0
    pid, shared = os.getpid(), Limit()
    while number := pull_queue.claim(registry, pid, process_start(pid), at_end):
        item = pull_queue.get(registry, number)
        noting = _noting(registry, item, report, should_stop)
        try:
            pulled = _pull(registry, connect(item.site), item, shared, tuning or Tuning(), noting)
        except CancelledError:
            if should_stop():
                pull_queue.recover(registry, lambda owner, _started: owner != pid)
                raise
        except Exception as error:
            # Whatever it is, it must not keep the other items from their turn.
            is_outage = isinstance(error, _UNSENT)
            is_try = not is_outage or rested >= _LONGEST_OUTAGE_S
            counts["failed"] += _settle(registry, item, error, is_try=is_try)
            rested = rested + _rest(error, rested, connect(item.site), report, should_stop) if is_outage else 0.0
        else:
            rested = 0.0
            pull_queue.finish(registry, number, _got(pulled))
            counts["done"] += 1
    return counts


def _settle(registry: Registry, item: PullItem, error: Exception, *, is_try: bool) -> bool:
    """Write down what becomes of an item that did not come; whether that is its end. An outage is not its fault."""
    if isinstance(error, DownloadLimitError):
        # Whoever goes on asking now is shut out for longer: all wait until a person says so.
        pull_queue.put_back(registry, item.id, str(error), first=True)
        pull_queue.pause(registry, None, str(error))
        return False
    if isinstance(error, _PASSING) and (item.tries < TRIES or not is_try):
        pull_queue.put_back(registry, item.id, str(error), is_try=is_try)
        return False
    pull_queue.fail(registry, item.id, _reason(item, error))
    return True


def _reason(item: PullItem, error: Exception) -> str:
    if isinstance(error, HubError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or item.title}: {error.strerror or error}: mend that, then hubman queue retry"
    _log.error("the download of %s", item.title, exc_info=error)
    return f"hubman itself failed at it ({type(error).__name__}): its log tells more"


def _rest(error: Exception, rested: float, client: Civitai, report: Report, should_stop: Stop) -> float:
    """Where nothing gets through to the site, wait: else each item would fail in its turn.

    As long as it is told, or longer and longer after ``rested`` seconds. Returns how many seconds that are to be.
    """
    told = error.wait if isinstance(error, (BusyError, CircuitOpenError)) else max(_REST_S, rested / 4)
    seconds = left = min(max(told, _EVERY_S), _LONGEST_REST_S)
    while left > 0 and not should_stop():
        report(Progress(stage="wait", message=str(error)))
        client.wait(min(left, _EVERY_S))
        left -= _EVERY_S
    return seconds


def _pull(
    registry: Registry, client: Civitai, item: PullItem, shared: Limit, tuning: Tuning, report: Report
) -> PulledModel:
    into = Path(item.into) if item.into else terms.folder(registry)
    wanted = terms.of(registry.home, item.choice, shared, tuning, item.site)
    first, *others = targets(client, item.ref, wanted, report)
    if not pull_queue.progress(registry, item.id, title=title(first), total=first[2].size):
        raise CancelledError("paused", "hubman queue resume goes on from here")
    _queue_beside(registry, item, others)
    return pull_file(registry, client, first, into=into, report=report, terms=wanted)


def _queue_beside(registry: Registry, item: PullItem, others: list[Target]) -> None:
    """A picture names several models, and a version may have several files: the others follow as items of their own."""
    wanted = [
        entry(version.model_id, version.id, file.id, title=title((model, version, file)), total=file.size,
              site=item.site, into=item.into, choice=item.choice)
        for model, version, file in others
    ]  # fmt: skip
    for place, number in enumerate(pull_queue.add(registry, wanted), 2):
        if pull_queue.get(registry, number).state == "queued":
            pull_queue.move(registry, number, place)


def title(target: Target) -> str:
    """What a list calls a download."""
    model, version, _file = target
    return f"{model.name if model else version.model.name} {version.name}".strip()


def _got(pulled: PulledModel) -> Got:
    return Got(
        version_id=pulled.version_id, path=pulled.path, sha256=pulled.sha256, size=pulled.path.stat().st_size,
        remote_version=pulled.remote_version, remote_file=pulled.remote_file, verified=pulled.verified,
    )  # fmt: skip


def _noting(registry: Registry, item: PullItem, report: Report, should_stop: Stop) -> Report:
    """``report`` that also writes the item's row, and stops the download when somebody paused or removed it."""
    last, stage = 0.0, ""

    def told(event: Progress) -> None:
        nonlocal last, stage
        now = time.monotonic()
        if should_stop():
            raise CancelledError("stopped", "hubman queue run goes on from here")
        if now - last < _EVERY_S and event.stage == stage:
            return
        last, stage = now, event.stage
        done, total = (int(event.done), int(event.total)) if event.unit == "B" else (None, None)
        if not pull_queue.progress(registry, item.id, done=done, total=total):
            raise CancelledError("paused", "hubman queue resume goes on from here")
        report(event)

    return told
