"""What a training shows: its curves, its epochs with samples, and which of them is proposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tui.services.run_events import RunEvents, Sample

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from hubman.train.recipe import Recipe
    from registry.database import Registry
    from tui.services.watch import JobView


@dataclass(frozen=True)
class Epoch:
    """A training as it was after an epoch; number 0 is the base alone."""

    number: int
    step: int | None = None
    validation: float | None = None
    samples: tuple[Sample, ...] = ()
    path: Path | None = None
    """Its file, once written."""

    @property
    def is_there(self) -> bool:
        return self.validation is not None or bool(self.samples) or self.path is not None


@dataclass(frozen=True)
class Proposal:
    """The epoch that the trainer proposes, and why."""

    epoch: int
    reason: str


@dataclass(frozen=True)
class RunRecord:
    """A job with all that is known of it at one moment."""

    job: Job
    events: RunEvents = field(default_factory=RunEvents)
    recipe: Recipe | None = None
    epochs: tuple[Epoch, ...] = ()
    prompts: tuple[str, ...] = ()
    best: Proposal | None = None
    sample_at: Mapping[tuple[int, str], Path] = field(default_factory=dict)
    """By epoch and prompt."""
    versions: Mapping[int, str] = field(default_factory=dict)
    """By epoch: the versions in the library that a finished training left."""

    def epoch(self, number: int) -> Epoch | None:
        return next((epoch for epoch in self.epochs if epoch.number == number), None)

    @property
    def last(self) -> Epoch | None:
        """The newest epoch that is there."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.is_there), None)

    @property
    def chosen(self) -> int:
        """The epoch that stands for the whole training: the proposed one, else the newest."""
        if self.best is not None:
            return self.best.epoch
        return self.last.number if self.last else 0


def read(registry: Registry, job: Job, before: RunRecord | None = None) -> RunRecord:
    """``before`` with what came since. Reads the job's files; for a thread."""
    from tui.services import run_events

    same = before if before is not None and before.job.id == job.id else None
    events = run_events.follow(job, same.events if same else RunEvents())
    recipe = same.recipe if same and same.recipe else _recipe(job)
    epochs = _epochs(events, recipe, _files(job, recipe))
    samples = {(sample.epoch, sample.prompt): Path(sample.path) for sample in events.samples}
    prompts = tuple(dict.fromkeys(sample.prompt for sample in events.samples))
    return RunRecord(job, events, recipe, epochs, prompts, _proposal(events), samples, _versions(registry, job))


def _proposal(events: RunEvents) -> Proposal | None:
    best = events.fact("best")
    return Proposal(int(best), str(events.fact("reason"))) if best is not None else None


def _versions(registry: Registry, job: Job) -> dict[int, str]:
    from registry import library

    version = (job.result or {}).get("version_id")
    run = library.run_of(registry, str(version)) if version else None
    return {epoch.epoch: epoch.version_id for epoch in run.epochs} if run else {}


def _recipe(job: Job) -> Recipe | None:
    from hubman.train.recipe import read_recipe
    from registry.errors import HubError

    try:
        return read_recipe(Path(str(job.request.get("recipe", ""))))
    except HubError:
        return None


def _files(job: Job, recipe: Recipe | None) -> dict[int, Path]:
    """The files of epochs by number; the last epoch's is the LoRA itself."""
    if recipe is None:
        return {}
    from hubman.train.run_folder import RunFolder

    folder = RunFolder(Path(job.folder) / "run", recipe)
    found = {file.epoch: file.path for file in folder.epochs()}
    return found | ({recipe.length.epochs: folder.lora} if folder.lora.is_file() else {})


def _epochs(events: RunEvents, recipe: Recipe | None, files: Mapping[int, Path]) -> tuple[Epoch, ...]:
    """All epochs of the recipe, also those to come; without a recipe those that were told of."""
    steps = {0: 0, **dict(enumerate(recipe.epoch_ends(), 1))} if recipe else {}
    steps |= dict(events.epoch_steps)
    validations = {epoch: loss for (epoch, _), (_, loss) in zip(events.epoch_steps, events.validations, strict=True)}
    numbers = sorted({*steps, *files, *(sample.epoch for sample in events.samples)})
    return tuple(
        Epoch(
            number,
            steps.get(number),
            validations.get(number),
            tuple(sample for sample in events.samples if sample.epoch == number),
            files.get(number),
        )
        for number in numbers
    )


def queue_places(views: Sequence[JobView]) -> dict[str, int]:
    """How many trainings stand before each that waits, of views with the newest first."""
    open_views = [
        view for view in reversed(views) if not view.job.ended and not (view.paused and view.job.state == "queued")
    ]
    return {view.job.id: number for number, view in enumerate(open_views) if view.job.state == "queued"}


def smoothed(points: tuple[tuple[float, float], ...], weight: float = 0.9) -> list[tuple[float, float]]:
    """An exponential mean of the losses, corrected for its start."""
    mean, trust = 0.0, 0.0
    result = []
    for x, y in points:
        mean = weight * mean + (1 - weight) * y
        trust = weight * trust + (1 - weight)
        result.append((x, mean / trust))
    return result


def smoothing(count: int) -> float:
    """The weight for so many points: the mean looks back over a fiftieth of them, at least over ten."""
    return 1 - 1 / max(10, count / 50)
