"""Jobs that make things: caption, train, generate, sweep, showcase."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

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
    from hubman.generate.service import asking
    from hubman.train.output.register import register
    from hubman.train.run import run_training

    # What the engine keeps loaded is memory that the training needs.
    asking.unload(registry.home, seconds=120)
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
    """Request: the fields of :class:`hubman.generate.asked.Asked`, or ``picture`` (a path) to draw once more.

    Or ``recipe``: the path of one that was saved (:mod:`hubman.generate.saved`).
    """
    from hubman.generate import saved, studio
    from hubman.generate.asked import asked, request_of
    from hubman.generate.naming import located
    from hubman.jobs.handlers.previewing import JobEngine

    if picture := job.request.get("picture"):
        folder = registry.home / "generations" / f"again-{job.id}"
        with JobEngine(registry.home, job) as engine:
            path, likeness, remarks = studio.draw_again(
                registry, engine, Path(picture), job.request.get("base", ""),
                folder=folder, report=report, should_stop=should_stop,
            )  # fmt: skip
        compared = msgspec.to_builtins(likeness) if likeness else {}
        return {"images": [path], "remarks": list(remarks), **compared}
    if recipe := job.request.get("recipe"):
        request = located(registry, saved.load(Path(recipe)).request)
        seeds: tuple[int, ...] = (request.seed,)
        batch = 0
    else:
        told = asked(job.request)
        request = request_of(registry, told)
        seeds, batch = told.seeds or (0,), told.batch
    with JobEngine(registry.home, job) as engine:
        images = studio.draw(
            registry, engine, request, seeds, batch=batch, report=report, should_stop=should_stop
        )  # fmt: skip
    return {"images": images}


def sweep(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: the fields of :class:`hubman.generate.asked.Asked`.

    One version without axes is a strength sweep with its curve, of which :func:`hubman.generate.recommend.keep` makes the
    recommended strength; anything else is a grid.
    """
    from hubman.generate import studio
    from hubman.generate.asked import asked, request_of
    from hubman.generate.curve import as_rows
    from hubman.jobs.handlers.previewing import JobEngine

    told = asked(job.request)
    with JobEngine(registry.home, job) as engine:
        if told.axes or len(told.version_ids) != 1:
            done = studio.draw_axes(
                registry, engine, told, report=report, should_stop=should_stop, grid_id=told.grid_id or job.id
            )
        else:
            request = request_of(registry, msgspec.structs.replace(told, version_ids=()))
            done = studio.sweep_strengths(
                registry, engine, told.version_ids[0], request, strengths=told.strengths, seeds=told.seeds or (0,),
                contrast=told.contrast, clip=studio.clip_for(Path(request.base)),
                report=report, should_stop=should_stop, sweep_id=job.id,
            )  # fmt: skip
    return {
        "sweep_id": done.id,
        "grid_path": done.grid_path,
        "images": list(done.images),
        "curve": as_rows(done.curve) if done.curve else [],
        "suggested": done.suggestion.strength if done.suggestion else None,
        "range": [done.suggestion.minimum, done.suggestion.maximum] if done.suggestion else [None, None],
        "reason": done.suggestion.reason if done.suggestion else "",
    }


def showcase(registry: Registry, job: Job, report: Report, should_stop: Stop) -> dict[str, Any]:
    """Request: see :func:`hubman.generate.showcase.draw`."""
    from hubman.generate import showcase as pictures
    from hubman.jobs.handlers.previewing import JobEngine

    with JobEngine(registry.home, job) as engine:
        drawn = pictures.draw(registry, engine, job.request, report=report, should_stop=should_stop)
    return {"version_id": job.request["version_id"], "previews": drawn}
