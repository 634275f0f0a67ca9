"""Jobs that make things: caption, train, generate, sweep, showcase."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hubman import bases
from hubman.generate.request import DrawRequest
from hubman.jobs.records import Job
from hubman.progress import Report
from registry import library, timestamps
from registry.database import Registry

Stop = Callable[[], bool]


def caption(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: the fields of :class:`hubman.train.captioning.drafts.DraftRequest`. Drafts only: what was typed stays."""
    from hubman.train.captioning.drafts import DraftRequest, draft_captions

    request = msgspec.convert(job.request, DraftRequest)
    drafted = draft_captions(request, cache=registry.home / "cache" / "clip", report=report, should_stop=should_stop)
    return {
        "written": len(drafted.written),
        "images": list(drafted.written),
        "texts": drafted.texts,
        "problems": drafted.problems,
    }


def train(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``recipe`` (a TOML file), optional ``force``. A resumed job goes on from its last checkpoint."""
    from hubman.train.output.register import register
    from hubman.train.run import run_training

    result = run_training(
        Path(job.request["recipe"]), Path(job.folder) / "run", True, report, should_stop,
        force=bool(job.request.get("force", False)), cache=registry.home / "cache" / "encoded",
        home=registry.home, should_pause=job.pause_path.exists,
    )  # fmt: skip
    version = register(registry, result, started_at=job.started_at or timestamps.now())
    row = library.version(registry, version)
    return {
        "version_id": version,
        "model_id": row.model_id,
        "path": row.files[0].places[0].path,
        "sha256": result.sha256,
        "steps": result.steps,
        "seconds": result.seconds,
        "final_loss": result.final_loss,
        "modules": result.modules,
        "delta_norms": result.delta_norms,
        "warnings": list(result.warnings),
    }


def generate(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``prompt`` with tags, ``negative``, ``seeds`` and the settings of a picture."""
    from hubman.generate import naming, studio
    from hubman.generate.client import Engine

    request = naming.read_prompt(
        registry, job.request["prompt"], job.request.get("negative", ""), settings(job.request)
    )
    with Engine() as engine:
        seeds = job.request.get("seeds") or [0]
        return {"images": studio.draw(registry, engine, request, seeds, report=report, should_stop=should_stop)}


def sweep(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: ``version_ids`` (one: a strength sweep, two: a grid), ``prompt``, ``strengths``, ``seeds``, settings.

    :func:`hubman.generate.recommend.keep` makes what it finds the recommended strength.
    """
    from hubman.generate import naming, studio
    from hubman.generate.client import Engine
    from hubman.generate.curve import told

    versions, strengths = list(job.request["version_ids"]), list(job.request["strengths"])
    request = naming.read_prompt(
        registry, job.request["prompt"], job.request.get("negative", ""), settings(job.request)
    )
    with Engine() as engine:
        if len(versions) == 2:
            done = studio.combine(
                registry, engine, (versions[0], versions[1]), request,
                strengths=strengths, report=report, should_stop=should_stop, sweep_id=job.id,
            )  # fmt: skip
        else:
            done = studio.sweep_strengths(
                registry, engine, versions[0], request, strengths=strengths, seeds=job.request.get("seeds") or [0],
                contrast=job.request.get("contrast", ""), clip=studio.clip_for(Path(request.base)),
                report=report, should_stop=should_stop, sweep_id=job.id,
            )  # fmt: skip
    return {
        "sweep_id": done.id,
        "grid_path": done.grid_path,
        "images": list(done.images),
        "curve": told(done.curve) if done.curve else [],
        "suggested": done.suggestion.strength if done.suggestion else None,
        "range": [done.suggestion.minimum, done.suggestion.maximum] if done.suggestion else [None, None],
        "reason": done.suggestion.reason if done.suggestion else "",
    }


def showcase(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: see :func:`hubman.generate.showcase.draw`."""
    from hubman.generate import showcase as pictures
    from hubman.generate.client import Engine

    with Engine() as engine:
        drawn = pictures.draw(registry, engine, job.request, report=report, should_stop=should_stop)
    return {"version_id": job.request["version_id"], "previews": drawn}


def settings(request: dict[str, Any]) -> DrawRequest:
    """A job's picture settings as a request without words; unnamed ones keep their defaults."""
    base = bases.find(str(request.get("base", bases.EMBEDDED)))
    names = ("steps", "cfg", "sampler", "width", "height", "clip_skip")
    chosen = {name: request[name] for name in names if request.get(name) is not None}
    return DrawRequest(base=str(base), prompt="", **{**bases.drawing(base), **chosen})
