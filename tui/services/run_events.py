"""Everything that one job has told so far, sorted for plots, pictures and a log."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tui.services.watch import counts

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from hubman.progress import Progress

Points = tuple[tuple[float, float], ...]
"""(step, value), steps rising."""
LOG_LINES = 1000


@dataclass(frozen=True)
class Picture:
    """A picture that was drawn; ``key`` names the request that it answers."""

    path: str
    key: str


@dataclass(frozen=True)
class Sample:
    """A picture that a training drew after an epoch; epoch 0 is the base without the LoRA."""

    epoch: int
    prompt: str
    path: str


@dataclass(frozen=True)
class RunEvents:
    """What a job reported; ``offset`` is how far its event file was read."""

    losses: Points = ()
    rates: Points = ()
    """Learning rates."""
    validations: Points = ()
    epoch_steps: tuple[tuple[int, int], ...] = ()
    """(epoch, step) of each validation, in the order of :attr:`validations`."""
    samples: tuple[Sample, ...] = ()
    pictures: tuple[Picture, ...] = ()
    log: tuple[str, ...] = ()
    facts: tuple[tuple[str, Any], ...] = ()
    """The last value of everything else that a training tells of itself, such as ``eta``."""
    last: Progress | None = None
    counted: Progress | None = None
    offset: int = 0

    def fact(self, name: str) -> Any:
        """The last value told under ``name``, or None."""
        return dict(self.facts).get(name)


def follow(job: Job, before: RunEvents) -> RunEvents:
    """``before`` with what the job has reported since. Reads one file; for a thread."""
    from hubman.jobs import store

    found, offset = store.events(job, before.offset)
    if not found:
        return before
    gathered = _Gathered(facts=dict(before.facts))
    for event in found:
        gathered.take(event)
    counted = [event for event in found if counts(job.kind, event)]
    validations = _joined(before.validations, gathered.validations)
    epochs = {step: epoch for epoch, step in (*before.epoch_steps, *gathered.epochs)}
    return replace(
        before,
        losses=_joined(before.losses, gathered.losses),
        rates=_joined(before.rates, gathered.rates),
        validations=validations,
        epoch_steps=tuple((epochs[int(step)], int(step)) for step, _ in validations),
        samples=_samples(before.samples, gathered.samples),
        pictures=before.pictures + tuple(gathered.pictures),
        log=(before.log + tuple(gathered.log))[-LOG_LINES:],
        facts=tuple(gathered.facts.items()),
        last=found[-1],
        counted=counted[-1] if counted else before.counted,
        offset=offset,
    )


def _joined(before: Points, new: list[tuple[float, float]]) -> Points:
    """A training that was resumed goes over steps again: what it told of them before is replaced."""
    kept = list(before)
    for point in new:
        if kept and point[0] <= kept[-1][0]:
            del kept[bisect_left(kept, point[0], key=lambda one: one[0]) :]
        kept.append(point)
    return tuple(kept)


def _samples(before: tuple[Sample, ...], new: list[Sample]) -> tuple[Sample, ...]:
    found = {(one.epoch, one.path): one for one in (*before, *new)}
    return tuple(found.values())


@dataclass
class _Gathered:
    losses: list[tuple[float, float]] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)
    validations: list[tuple[float, float]] = field(default_factory=list)
    epochs: list[tuple[int, int]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def take(self, event: Progress) -> None:
        data = event.data
        if "step" in data and "loss" in data:
            self._take_losses(data)
        if "step" in data and "validation" in data:
            self.validations.append((float(data["step"]), float(data["validation"])))
            self.epochs.append((int(data.get("epoch", 0)), int(data["step"])))
        if event.stage == "forecast":
            self.facts.update(data, forecast=event.message)
        if "best" in data:
            self.facts.update(best=data["best"], reason=data.get("reason", ""))
        if "image" in data and "epoch" in data:
            self.samples.append(Sample(int(data["epoch"]), str(data.get("prompt", "")), str(data["image"])))
        elif "image" in data and "key" in data:
            self.pictures.append(Picture(str(data["image"]), str(data["key"])))
        # Of a mere count only its end is worth a line.
        if event.message or (not data and event.done >= event.total):
            count = f" {event.done:g}/{event.total:g}" if event.total else ""
            self.log.append(f"{event.stage}{count} {event.message}".rstrip())

    def _take_losses(self, data: dict[str, Any]) -> None:
        """A trainer reports in bundles: ``losses`` are those of all steps up to ``step``."""
        bundle = data.get("losses") or [data["loss"]]
        first = int(data["step"]) - len(bundle) + 1
        self.losses += [(float(first + index), float(loss)) for index, loss in enumerate(bundle)]
        if "lr" in data:
            self.rates.append((float(data["step"]), float(data["lr"])))
        self.facts.update({name: value for name, value in data.items() if name not in _PLOTTED})


_PLOTTED = frozenset(("step", "loss", "losses", "lr"))
