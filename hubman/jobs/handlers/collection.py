"""Jobs that move and index files, or ask about them: scan, enrich, updates, publish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hubman.jobs.records import Job
from hubman.progress import Progress, Report, stoppable
from registry import library
from registry.database import Registry

Stop = Callable[[], bool]


def scan(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``folders`` (empty means every root), ``rehash``."""
    from hubman.jobs.busy import may_hash
    from registry import scan as scanning

    report = stoppable(report, should_stop)
    folders = [Path(folder) for folder in job.request.get("folders", [])]
    result = scanning.scan(
        registry,
        lambda stage, done, total: report(Progress(stage=stage, done=done, total=total, unit="files")),
        roots=folders or None,
        rehash=bool(job.request.get("rehash", False)),
        may_hash=may_hash(registry),
    )
    return plain(result)


def enrich(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``models`` (empty means all), optional ``again`` and ``site``. Result: :class:`hubman.civitai.enrich.Enriched`."""
    from hubman.civitai.enrich import enrich as enrich_models
    from hubman.civitai.session import connect
    from hubman.civitai.wanted import wanted

    with connect(registry.home, job.request.get("site")) as client:
        result = enrich_models(
            registry,
            client,
            report=stoppable(report, should_stop),
            models=job.request.get("models") or None,
            again=bool(job.request.get("again", False)),
            wanted=wanted(registry.home),
        )
    return plain(result)


def updates(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``models`` (empty means all), optional ``site``.

    Result: ``updates``, one for each that has a newer version; ``asked``, of how many models Civitai has a page;
    ``unknown``, how many it knows nothing of, and ``names`` of the first of these.
    """
    from hubman.civitai import updates as news
    from hubman.civitai.session import connect

    with connect(registry.home, job.request.get("site")) as client:
        models = job.request.get("models") or None
        found = news.updates(registry, client, models, report=stoppable(report, should_stop))
    unknown = news.not_on_civitai(registry, models)
    asked = (len(set(models)) if models else library.count(registry)) - len(unknown)
    return {"updates": [plain(one) for one in found], "asked": asked, "unknown": len(unknown), "names": unknown[:3]}


def publish(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``form`` (a :class:`hubman.civitai.form.PublishForm`), optional ``accept``, ``draft``, ``edit``, ``site``.

    With ``to`` being ``hf`` it goes to the Hugging Face Hub, into ``repo`` or one that is named after the model.
    """
    from hubman.civitai.form import PublishForm

    form = msgspec.convert(job.request["form"], PublishForm)
    accept = job.request.get("accept", ())
    if job.request.get("to") == "hf":
        from hubman.huggingface.client import Hub
        from hubman.huggingface.publish import publish as publish_on_hub

        choices = {"repo": job.request.get("repo", ""), "draft": bool(job.request.get("draft", False))}
        watch = stoppable(report, should_stop)
        return plain(publish_on_hub(registry, Hub.from_environment(), form, accept=accept, **choices, report=watch))
    from hubman.civitai.publish import publish as publish_form
    from hubman.civitai.session import connect

    flags = {name: bool(job.request.get(name, False)) for name in ("draft", "edit")}
    with connect(registry.home, job.request.get("site")) as client:
        done = publish_form(registry, client, form, accept=accept, **flags, report=report, should_stop=should_stop)
    return plain(done)


def plain(record: object) -> dict[str, Any]:
    """A record as JSON-like data, paths as texts."""
    data: dict[str, Any] = msgspec.to_builtins(record, enc_hook=str)
    return data
