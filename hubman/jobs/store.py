"""Start, watch, cancel and resume jobs. Everything here is quick; the work happens in the job's own process."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hubman.jobs.records import Job
from hubman.progress import Progress
from registry import ids, timestamps
from registry.database import Registry
from registry.decodable import decodable
from registry.errors import NotFoundError, UsageError

_JSON = ("request", "result")
PAUSABLE = frozenset({"train"})
"""Kinds of jobs that look for :attr:`~hubman.jobs.records.Job.pause_path` as they work."""
_ZOMBIE = -1.0
"""In place of a start: the process has ended, and its parent has not asked how."""


def add(registry: Registry, kind: str, title: str, request: dict[str, Any]) -> Job:
    """Write the job down without starting it."""
    job_id = ids.new_id()
    folder = registry.home / "jobs" / job_id
    folder.mkdir(parents=True, mode=0o700)
    with registry.transaction() as db:
        db.execute(
            "INSERT INTO jobs (id, kind, title, state, folder, request, created_at) VALUES (?, ?, ?, 'queued', ?, ?, ?)",
            (job_id, kind, title, str(folder), msgspec.json.encode(request).decode(), timestamps.now()),
        )
    return get(registry, job_id)


def start(registry: Registry, kind: str, title: str, request: dict[str, Any]) -> Job:
    """Write the job down and start its process, which outlives this one."""
    job = add(registry, kind, title, request)
    spawn(registry, job)
    return job


def set_request(registry: Registry, job_id: str, request: dict[str, Any]) -> Job:
    """Complete the request of a job that was only written down."""
    with registry.transaction() as db:
        db.execute("UPDATE jobs SET request = ? WHERE id = ?", (msgspec.json.encode(request).decode(), job_id))
    return get(registry, job_id)


def spawn(registry: Registry, job: Job) -> None:
    """Start the job's process in a session of its own, its output in the job's log.

    The row knows the process from the start, so that one which dies before its first word is found out too.
    """
    environment = {**os.environ, "HUBMAN_HOME": str(registry.home)}
    with job.log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hubman.jobs.runner", job.id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    with registry.transaction() as db:
        db.execute(
            "UPDATE jobs SET pid = ?, pid_started = ? WHERE id = ? AND state = 'queued'",
            (process.pid, process_start(process.pid), job.id),
        )


def get(registry: Registry, ref: str) -> Job:
    """The job with this id or unique end of an id. Raises :class:`NotFoundError`, :class:`UsageError`."""
    rows = registry.db.execute(
        "SELECT * FROM jobs WHERE id = :id OR id LIKE '%' || :id", {"id": ref.lower()}
    ).fetchall()
    if not rows:
        raise NotFoundError(f"no job {ref}", "hubman jobs lists them")
    if len(rows) > 1:
        raise UsageError(f"{ref} means {len(rows)} jobs", "give more of the id")
    return _job(rows[0])


def look(registry: Registry, ref: str) -> Job:
    """As :func:`get`, but a job whose process died is found out and marked failed."""
    return _bury_if_dead(registry, get(registry, ref))


def latest(registry: Registry, limit: int = 200) -> list[Job]:
    """The newest jobs first; one whose process died is found out here and marked failed."""
    jobs = [
        _job(row)
        for row in registry.db.execute("SELECT * FROM jobs ORDER BY created_at DESC, id DESC LIMIT ?", (limit,))
    ]
    return [_bury_if_dead(registry, job) for job in jobs]


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    for name in _JSON:
        values[name] = msgspec.json.decode(values[name]) if values[name] is not None else None
    return msgspec.convert(values, decodable(Job))


def events(job: Job, offset: int = 0) -> tuple[list[Progress], int]:
    """The events written after byte ``offset`` and the offset to go on from.

    A half-written line waits; one that a full disk or a kill cut short is passed over.
    """
    try:
        with job.events_path.open("rb") as stream:
            stream.seek(offset)
            data = stream.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    return [event for line in whole.split(b"\n") if (event := _event(line))], offset + len(whole)


def _event(line: bytes) -> Progress | None:
    try:
        return msgspec.json.decode(line, type=decodable(Progress))
    except msgspec.DecodeError:
        return None


def cancel(registry: Registry, ref: str) -> Job:
    """Ask a job to stop at its next safe point; one that never started is cancelled at once."""
    job = get(registry, ref)
    if job.ended:
        raise UsageError(f"job {job.id[-6:]} is already {job.state}")
    job.stop_path.touch()
    with registry.transaction() as db:
        db.execute(
            "UPDATE jobs SET state = 'cancelled', finished_at = ? WHERE id = ? AND state = 'queued'",
            (timestamps.now(), job.id),
        )
    return get(registry, job.id)


def pause(registry: Registry, ref: str) -> Job:
    """Ask a job to wait at its next safe point without giving up what it has loaded. Raises :class:`UsageError`."""
    job = look(registry, ref)
    if job.ended:
        raise UsageError(f"job {job.id[-6:]} is already {job.state}")
    if job.kind not in PAUSABLE:
        raise UsageError(f"a job of kind {job.kind} cannot be paused", f"hubman job cancel {job.id[-6:]} stops it")
    job.pause_path.touch()
    return job


def resume(registry: Registry, ref: str) -> Job:
    """Let a paused job go on, or start a failed or cancelled one again: it goes on from what it had finished."""
    job = look(registry, ref)
    if job.paused:
        job.pause_path.unlink(missing_ok=True)
        return get(registry, job.id)
    if job.state not in {"failed", "cancelled"}:
        raise UsageError(f"job {job.id[-6:]} is {job.state}", "only a paused, failed or cancelled one can be resumed")
    with registry.transaction() as db:
        found = db.execute(
            "UPDATE jobs SET state = 'queued', error = NULL, pid = NULL, finished_at = NULL "
            "WHERE id = ? AND state IN ('failed', 'cancelled')",
            (job.id,),
        )
        # Otherwise another program resumed it just now: one process is enough, and what it is asked meanwhile holds.
        ours = found.rowcount == 1
        if ours:
            for path in (job.stop_path, job.pause_path):
                path.unlink(missing_ok=True)
    if ours:
        spawn(registry, job)
    return get(registry, job.id)


def begin(registry: Registry, job_id: str) -> bool:
    """Mark a queued job as running in this process; False when it is not queued any more, such as cancelled."""
    pid = os.getpid()
    with registry.transaction() as db:
        found = db.execute(
            "UPDATE jobs SET state = 'running', pid = ?, pid_started = ?, started_at = coalesce(started_at, ?) "
            "WHERE id = ? AND state = 'queued'",
            (pid, process_start(pid), timestamps.now(), job_id),
        )
        return found.rowcount == 1


def finish(registry: Registry, job_id: str, state: str, *, error: str | None = None, result: object = None) -> None:
    with registry.transaction() as db:
        db.execute(
            "UPDATE jobs SET state = ?, error = ?, result = ?, finished_at = ? WHERE id = ?",
            (
                state,
                error,
                msgspec.json.encode(result).decode() if result is not None else None,
                timestamps.now(),
                job_id,
            ),
        )


def follow(registry: Registry, job_id: str, watch: Callable[[Progress], None], *, pause: float = 0.1) -> Job:
    """Send every event of a job to ``watch`` until it has ended; returns how it ended."""
    offset = 0
    while True:
        job = look(registry, job_id)
        found, offset = events(job, offset)
        for event in found:
            watch(event)
        if job.ended and not found:
            return job
        if not found:
            time.sleep(pause)


def _bury_if_dead(registry: Registry, job: Job) -> Job:
    if job.ended or job.pid is None or is_alive(job.pid, job.pid_started):
        return job
    current = get(registry, job.id)
    if not current.ended and current.pid == job.pid:
        finish(registry, job.id, "failed", error=last_words(job) or "its process died; resume it to go on")
    return get(registry, job.id)


def is_alive(pid: int, started: float | None) -> bool:
    """Whether the process still runs and is the one that was meant, not a later one with its number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    now = process_start(pid)
    return now is None or (now != _ZOMBIE and started in {now, None})


def process_start(pid: int) -> float | None:
    """When a process began, in clock ticks since boot; None where the system does not say."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return _ZOMBIE if fields[0] == "Z" else float(fields[19])
    return None


def last_words(job: Job) -> str:
    """The last line that a job's process printed."""
    with contextlib.suppress(OSError):
        lines = job.log_path.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
    return ""


def kill(job: Job) -> None:
    """End a job's process at once. Its row is marked failed by whoever looks next; it can be resumed."""
    if job.pid is not None and is_alive(job.pid, job.pid_started):
        os.kill(job.pid, signal.SIGKILL)
