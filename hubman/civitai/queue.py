"""The queue of downloads as a person handles it, from whatever terminal: all act on the same rows."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hubman.civitai import auth
from hubman.civitai.refs import Ref, parse_ref, same_as
from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.progress import Progress, Report
from registry import pull_queue, timestamps
from registry.database import Registry
from registry.errors import HubError, UsageError
from registry.pull_queue import PullItem, Wanted

KIND = "downloads"
"""The kind of the one job that works the queue off."""

_STARTS = 5
_STARTING_S = 30.0
"""A job that is written down but has no process yet counts as alive for so long."""


def add(
    registry: Registry,
    refs: Sequence[str],
    *,
    site: str | None,
    into: Path | None,
    titles: Mapping[str, str] | None = None,
) -> list[PullItem]:
    """Queue what ``refs`` name, each once; nothing is asked of the site yet.

    ``titles`` are names by the refs, for those of which one is known already.

    ``site`` is as :func:`hubman.civitai.session.connect` takes it, ``into`` a folder other than the usual one. Raises
    :class:`UsageError`, with nothing queued, when one of them names nothing, or all of a creator or a collection: that
    is planned first (:mod:`hubman.civitai.pull_plan`).
    """
    address = site if site and "://" in site else auth.site_url()
    wanted = [
        Wanted(
            ref=ref.strip(),
            same=f"{site or ''} {same_as(_single(ref, address))}",
            title=(titles or {}).get(ref, ref.strip()),
            site=site,
            into=str(into.absolute()) if into else None,
        )
        for ref in refs
    ]
    return queued(registry, wanted)


def _single(text: str, site: str) -> Ref:
    ref = parse_ref(text, site=site)
    if ref.is_many:
        raise UsageError(f"{text.strip()} may be very much", f"hubman pull {text.strip()} shows the plan for it first")
    return ref


def queued(registry: Registry, wanted: Sequence[Wanted]) -> list[PullItem]:
    """The items of ``wanted``, queued unless they are already."""
    numbers = pull_queue.add(registry, wanted)
    found = {item.id: item for item in pull_queue.items(registry)}
    return [found[number] for number in dict.fromkeys(numbers)]


def items(registry: Registry) -> list[PullItem]:
    """What waits, in its order, then what has ended; what a dead process was at waits again."""
    pull_queue.recover(registry, store.is_alive)
    return pull_queue.items(registry)


def pause(registry: Registry, ids: Sequence[int] | None) -> None:
    """Hold these, or all. What is running stops within a second and keeps its bytes."""
    pull_queue.pause(registry, ids)


def resume(registry: Registry, ids: Sequence[int] | None) -> None:
    """Let these go on, or all that are paused."""
    pull_queue.resume(registry, ids)
    start(registry)


def move(registry: Registry, id: int, to: int) -> None:
    """Put an item at place ``to``, from 1. Raises :class:`registry.errors.NotFoundError`."""
    pull_queue.move(registry, id, to)


def retry(registry: Registry, ids: Sequence[int] | None) -> None:
    """Queue again those of these that failed, or all that did."""
    pull_queue.retry(registry, ids)
    start(registry)


def remove(registry: Registry, ids: Iterable[int]) -> None:
    """Forget these; files that are whole stay, and the bytes of the others serve a later pull."""
    pull_queue.remove(registry, list(ids))


def start(registry: Registry) -> Job | None:
    """Make sure that the one downloader runs if anything waits; its job, None when nothing does."""
    pull_queue.recover(registry, store.is_alive)
    with registry.transaction() as db:
        if not db.execute("SELECT 1 FROM pulls WHERE state = 'queued'").fetchone():
            return None
        if running := _running(registry, db):
            return running
        job = store.add(registry, KIND, KIND, {})
    store.spawn(registry, job)
    return job


def _running(registry: Registry, db: sqlite3.Connection) -> Job | None:
    rows = db.execute("SELECT id FROM jobs WHERE kind = ? AND state IN ('queued', 'running')", (KIND,)).fetchall()
    for row in rows:
        job = store.look(registry, row["id"])
        age = time.time() - timestamps.parse(job.created_at).timestamp()
        if not job.ended and not job.stop_path.exists() and (job.pid is not None or abs(age) < _STARTING_S):
            return job
    return None


def follow(registry: Registry, ids: Sequence[int], report: Report, *, pause_s: float = 0.2) -> list[PullItem]:
    """Tell of these items until each has ended, is held, or is gone; returns those that are left, in
    the order of ``ids``.

    A downloader that dies on the way is started again. Raises :class:`HubError` when none stays alive.
    """
    wanted, jobs, reached = set(ids), set[str](), 0
    while True:
        mine = sorted((item for item in items(registry) if item.id in wanted), key=lambda item: ids.index(item.id))
        waiting = [item for item in mine if item.state in {"queued", "running"}]
        current = next((item for item in mine if item.state == "running"), None)
        report(
            Progress(
                stage="download", done=sum(item.done for item in mine), total=sum(item.total for item in mine), unit="B",
                message=f"{current.title if current else ''} ({len(mine) - len(waiting)} of {len(mine)} done)".strip(),
            )
        )  # fmt: skip
        if not waiting:
            return mine
        done = sum(item.done for item in mine)
        jobs, reached = (set(), done) if done > reached else (jobs, reached)
        if job := start(registry):
            jobs.add(job.id)
        if len(jobs) > _STARTS:
            raise HubError("the downloader ends as soon as it starts", "hubman jobs shows why")
        time.sleep(pause_s)
