"""Jobs that make LoRA files of others: merge, resize, extract.

One that was killed after its file was in place, but not yet in the library, goes on there when it is resumed: a file at
``out`` that says to be of the same request is its own. The result then has no numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hubman.jobs.handlers.collection import plain
from hubman.jobs.records import Job
from hubman.lora.derive import parents as kin
from hubman.lora.derive.planning import is_written
from hubman.lora.derive.register import Origin, register
from hubman.lora.derive.request import ExtractRequest, MergeRequest, Parent, ResizeRequest
from hubman.progress import Report, stoppable
from registry import library
from registry.database import Registry
from registry.errors import HubError

Stop = Callable[[], bool]


def merge(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: a :class:`hubman.lora.derive.request.MergeRequest`."""
    from hubman.lora.derive.merge import merge as write

    request = msgspec.convert(job.request, MergeRequest)
    known = [_known(registry, one) for one in request.parents]
    said: dict[str, Any] = {"path": request.out}
    if not is_written(request):
        done = write(request, _names(known, request.base), report=stoppable(report, should_stop))
        said = {**plain(done.made), "changes_sum": done.changes_sum, "parents": list(done.parents)}
    return {**said, **_registered(registry, request.out, "merged", known)}


def resize(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: a :class:`hubman.lora.derive.request.ResizeRequest`."""
    from hubman.lora.derive.resize import resize as write

    request = msgspec.convert(job.request, ResizeRequest)
    known = [_known(registry, request.parent)]
    said: dict[str, Any] = {"path": request.out}
    if not is_written(request):
        said = plain(write(request, _names(known, request.base), report=stoppable(report, should_stop)))
    return {**said, **_registered(registry, request.out, "resized", known)}


def extract(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: a :class:`hubman.lora.derive.request.ExtractRequest`."""
    from hubman.lora.derive.checkpoint_facts import hashes_of, of_base
    from hubman.lora.derive.extract import extract as write

    request = msgspec.convert(job.request, ExtractRequest)
    hashes = hashes_of(Path(request.tuned), Path(request.base))
    said: dict[str, Any] = {"path": request.out}
    if not is_written(request):
        about, watch = of_base(Path(request.base)), stoppable(report, should_stop)
        said = plain(write(request, hashes=hashes, base_entries=about, report=watch))
    version = _version_of(registry, hashes.get("tuned", ""))
    return {**said, "version_id": register(registry, Path(request.out), "extracted", [version] if version else [])}


def _known(registry: Registry, parent: Parent) -> kin.Known:
    known = kin.find(registry, parent.path, parent.ratio, parent.blocks)
    if known.parent.sha256 != parent.sha256:
        raise HubError(f"{parent.name} has changed since the job was started", "start it again")
    return known


def _names(known: Sequence[kin.Known], base: str) -> Any:
    from hubman.lora.names import names_of

    return names_of({one.parent.path: one.header for one in known}, Path(base) if base else None)


def _registered(registry: Registry, out: str, origin: Origin, known: Sequence[kin.Known]) -> dict[str, str]:
    versions = [one.version.id for one in known if one.version]
    return {"version_id": register(registry, Path(out), origin, versions)}


def _version_of(registry: Registry, sha256: str) -> str:
    file = library.file_by_hash(registry, sha256) if sha256 else None
    return file.version_id if file else ""
