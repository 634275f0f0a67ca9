"""A job's process: ``python -m hubman.jobs.runner ID``."""

from __future__ import annotations

import contextlib
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

import msgspec

from hubman import config
from hubman.jobs import kinds, store, turns
from hubman.jobs.records import Job
from hubman.progress import Progress
from registry.database import Registry
from registry.errors import CancelledError, HubError


def run(registry: Registry, job_id: str) -> Job:
    """Do a queued job's work here and now; returns how it ended. Expected failures end up in the row, not in a traceback."""
    job = store.get(registry, job_id)
    if not turns.wait(registry, job):
        return store.get(registry, job.id)
    job = store.get(registry, job_id)
    with job.events_path.open("ab", buffering=0) as stream:
        if stream.tell():
            stream.write(b"\n")  # Ends a line that an earlier process may have left half-written.
        _work(registry, job, stream)
    return store.get(registry, job.id)


def _work(registry: Registry, job: Job, stream: BinaryIO) -> None:
    def report(event: Progress) -> None:
        # Nobody's watching is worth the work: on a full disk the job itself says so where it matters.
        with contextlib.suppress(OSError):
            stream.write(msgspec.json.encode(event) + b"\n")

    try:
        result = kinds.handler(job.kind)(registry, job, report, job.stop_path.exists)
    except CancelledError:
        store.finish(registry, job.id, "cancelled")
    except HubError as error:
        store.finish(registry, job.id, "failed", error=str(error))
    except OSError as error:
        traceback.print_exc()
        where = f"{error.filename}: " if error.filename else ""
        store.finish(
            registry, job.id, "failed", error=f"{where}{error.strerror or error}: mend that, then resume the job"
        )
    except Exception as error:
        traceback.print_exc()
        store.finish(
            registry,
            job.id,
            "failed",
            error=f"{type(error).__name__}: {error} (details in {Path(job.folder).name}/log.txt)",
        )
    else:
        store.finish(registry, job.id, "done", result=result)


def main() -> None:
    with Registry(config.home()) as registry:
        job = run(registry, sys.argv[1])
    sys.exit(0 if job.state == "done" else 1)


if __name__ == "__main__":
    main()
