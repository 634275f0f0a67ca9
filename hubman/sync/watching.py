"""Keep in step with remotes until stopped: send after a short quiet time, read when there is news.

A folder tells of new heads itself where the system tells of changes; on a share, and of a bucket, nothing does, and
one listing of the heads is the whole cost of asking.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hubman.progress import Report, silent
from hubman.sync.lock import BusyError
from hubman.sync.policies.schedule import Schedule
from hubman.sync.records import layout
from hubman.sync.remote import Remote, find
from hubman.sync.run import SyncResult, sync
from registry.database import Registry
from registry.errors import CancelledError, HubError

_STEP_S = 0.5
_RAREST_S = {"folder": 60.0, "cloud": 300.0}


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a watcher tells of: a sync that did something, or a problem that is new."""

    remote: str
    result: SyncResult | None = None
    problem: str = ""


Tell = Callable[[Event], None]


class Watched:
    """One remote, its schedule, and what was told of it last."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.schedule = Schedule(_RAREST_S.get(remote.kind, 300.0))
        self.has_news = threading.Event()
        self.problem: str | None = None
        """Why the last sync failed; empty after one that did not, None before the first."""
        self.warnings: tuple[str, ...] = ()


def watch(
    registry: Registry, names: Sequence[str], tell: Tell, stopped: threading.Event, *, report: Report = silent
) -> None:
    """Sync with the remotes ``names`` whenever there is reason to, until ``stopped`` is set.

    Failures are told and tried again. Raises :class:`NotFoundError` for a name that there is not.
    """
    every = [Watched(find(registry, name)) for name in names]
    for one in every:
        if one.remote.kind == "folder":
            folder = Path(one.remote.location) / layout.HEADS
            threading.Thread(target=_listen, args=(folder, one.has_news, stopped), daemon=True).start()
    while not stopped.is_set():
        for one in every:
            _step(registry, one, tell, stopped, report)
        stopped.wait(_STEP_S)


def _step(registry: Registry, one: Watched, tell: Tell, stopped: threading.Event, report: Report) -> None:
    now = time.monotonic()
    if one.has_news.is_set():
        one.has_news.clear()
        one.schedule.told(now)
    one.schedule.edited(_newest(registry, one.remote), now)
    if stopped.is_set() or not one.schedule.is_due(now):
        return
    newest = _newest(registry, one.remote)
    try:
        result = sync(registry, one.remote.name, report=report, should_stop=stopped.is_set)
    except CancelledError:
        return
    except BusyError:
        one.schedule.failed(time.monotonic())
    except HubError as error:
        one.schedule.failed(time.monotonic())
        if str(error) != one.problem:
            tell(Event(remote=one.remote.name, problem=str(error)))
        one.problem = str(error)
    else:
        did_something = _did_something(result)
        one.schedule.synced(time.monotonic(), newest=newest, did_something=did_something)
        # The first is told whatever it did, so that a person sees that it works; and so is the end of a problem.
        if did_something or one.problem != "" or result.warnings != one.warnings:
            tell(Event(remote=one.remote.name, result=result))
        one.problem, one.warnings = "", result.warnings


def _did_something(result: SyncResult) -> bool:
    moved = result.sent_changes + result.received_changes + result.uploaded + result.downloaded
    return moved > 0 or result.new_device


def _newest(registry: Registry, remote: Remote) -> int:
    """The last edit that this remote has not been told of; 0 for none."""
    if remote.is_read_only:
        return 0
    sql = (
        "SELECT max(id) FROM outbox WHERE id > (SELECT frozen_to FROM remotes WHERE repo = ?1) "
        "AND (origin IS NULL OR origin <> ?1)"
    )
    (newest,) = registry.db.execute(sql, (remote.repo,)).fetchone()
    return int(newest or 0)


def _listen(folder: Path, has_news: threading.Event, stopped: threading.Event) -> None:
    """Set ``has_news`` when heads change, as long as the system tells of it; the schedule looks anyway."""
    import watchfiles

    while not stopped.is_set():
        try:
            for _ in watchfiles.watch(
                folder, watch_filter=_is_head, stop_event=stopped, rust_timeout=500, recursive=False
            ):
                has_news.set()
        except (OSError, RuntimeError):
            # Not there yet, or a drive that is away.
            stopped.wait(10.0)
        else:
            stopped.wait(_STEP_S)


def _is_head(_change: object, path: str) -> bool:
    return layout.is_device(Path(path).name)
