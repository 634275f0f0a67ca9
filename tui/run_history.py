"""Trainings that are known without their job: from another machine, or of long ago."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hubman.jobs.records import Job
from registry.errors import HubError
from tui.run_record import Epoch, Proposal, RunRecord
from tui.services.run_events import RunEvents, Sample
from tui.services.watch import JobView

if TYPE_CHECKING:
    from collections.abc import Container

    from hubman.train.recipe import Recipe
    from registry.database import Registry
    from registry.records import RunRow


def is_past(job: Job) -> bool:
    """Whether a job stands for a training that has none here."""
    return not job.folder


def views(registry: Registry) -> list[JobView]:
    """Every training of the registry whose model is there, as the finished job that it was, the newest first."""
    from hubman.train import history
    from registry import library

    found = []
    for run in history.runs(registry):
        try:
            model = library.version(registry, run.version_id or run.id).model_id
        except HubError:
            continue
        job = Job(
            id=f"run/{run.id}", kind="train", title=f"train {run.name}", state="done", folder="", request={},
            result={"model_id": model, "version_id": run.version_id or run.id},
            created_at=run.started_at, started_at=run.started_at or None, finished_at=run.finished_at,
        )  # fmt: skip
        found.append(JobView(job))
    return found


def without(past: list[JobView], versions: Container[str]) -> list[JobView]:
    """The trainings that did not make one of ``versions``: those have their jobs here."""
    return [view for view in past if (view.job.result or {}).get("version_id") not in versions]


def read(registry: Registry, job: Job) -> RunRecord:
    """What the registry keeps of a training; pictures that are on another machine are left out."""
    from registry import library

    run = library.run_of(registry, job.id.removeprefix("run/"))
    if run is None:
        return RunRecord(job)
    recipe = _recipe(run)
    prompts = recipe.watch.sample_prompts if recipe else ()
    most = max((len(epoch.samples) for epoch in run.epochs), default=0)
    names = tuple(prompts[number] if number < len(prompts) else f"caption {number + 1}" for number in range(most))
    epochs = tuple(
        Epoch(epoch.epoch, epoch.step, epoch.validation, _samples(registry, epoch.epoch, epoch.samples, names))
        for epoch in run.epochs
    )
    validations = tuple((float(one.step), one.validation) for one in run.epochs if one.validation is not None)
    steps = tuple((one.epoch, one.step) for one in run.epochs if one.validation is not None)
    losses = tuple((float(step), loss) for step, loss in run.losses)
    shown = {(sample.epoch, sample.prompt): Path(sample.path) for epoch in epochs for sample in epoch.samples}
    return RunRecord(
        job,
        RunEvents(losses=losses, validations=validations, epoch_steps=steps),
        recipe,
        epochs,
        names,
        Proposal(run.best, run.reason) if run.best is not None else None,
        shown,
        {epoch.epoch: epoch.version_id for epoch in run.epochs},
    )


def _recipe(run: RunRow) -> Recipe | None:
    from hubman.train.recipe import from_values

    try:
        return from_values({"base": run.base, "dataset": "", **run.recipe}, run.name)
    except HubError:
        return None


def _samples(registry: Registry, epoch: int, hashes: list[str], prompts: tuple[str, ...]) -> tuple[Sample, ...]:
    from registry import blobs

    paths = [blobs.path_of(registry, sha256) for sha256 in hashes]
    return tuple(
        Sample(epoch, prompt, str(path)) for prompt, path in zip(prompts, paths, strict=False) if path.is_file()
    )
