"""What each kind of job does. Handlers are imported when one runs, so that a list of jobs loads none of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, cast

from hubman.jobs.records import Job
from hubman.progress import Report
from registry.database import Registry
from registry.errors import UsageError

Handler = Callable[[Registry, Job, Report, Callable[[], bool]], dict[str, Any]]
"""(registry, job, report, should stop) to the job's result."""

_HANDLERS = {
    "scan": "hubman.jobs.handlers.collection:scan",
    "enrich": "hubman.jobs.handlers.collection:enrich",
    "downloads": "hubman.jobs.handlers.pulling:drain",
    "updates": "hubman.jobs.handlers.collection:updates",
    "publish": "hubman.jobs.handlers.collection:publish",
    "sync": "hubman.jobs.handlers.syncing:sync",
    "check": "hubman.jobs.handlers.syncing:check",
    "fetch": "hubman.jobs.handlers.syncing:fetch",
    "drop": "hubman.jobs.handlers.syncing:drop",
    "caption": "hubman.jobs.handlers.making:caption",
    "train": "hubman.jobs.handlers.making:train",
    "generate": "hubman.jobs.handlers.making:generate",
    "sweep": "hubman.jobs.handlers.making:sweep",
    "showcase": "hubman.jobs.handlers.making:showcase",
    "merge": "hubman.jobs.handlers.deriving:merge",
    "resize": "hubman.jobs.handlers.deriving:resize",
    "extract": "hubman.jobs.handlers.deriving:extract",
}

KINDS = tuple(_HANDLERS)


def handler(kind: str) -> Handler:
    """Raises :class:`UsageError` for a kind that this version does not know."""
    target = _HANDLERS.get(kind)
    if target is None:
        raise UsageError(f"there is no kind of job called {kind}", f"known are {', '.join(KINDS)}")
    module, _, name = target.partition(":")
    return cast("Handler", getattr(importlib.import_module(module), name))
