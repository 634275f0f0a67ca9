"""What a run says of itself as it goes: a line a step in its metrics, and progress for whoever watches."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from hubman.progress import Progress, Report
from hubman.train.capacity.forecast import Forecast, corrected
from hubman.train.capacity.memory import Memory
from hubman.train.clock import Clock
from hubman.train.learning.learner import Learner
from hubman.train.learning.rates import rate_at
from hubman.train.metrics import Metrics
from hubman.train.recipe import Recipe
from registry.errors import HubError

REPORT_SECONDS = 0.5
"""Losses wait on the device this long, so that no step waits for them."""
MEASURED_STEPS = 10
"""After so many the forecast is corrected."""
STUCK = "prodigy finds no rate: its d still is where it started; raise d_coef to 2, or choose adamw"
SMOOTH = 0.98
"""The share of the old mean that stays in the smoothed loss at each step; at the start it is the plain mean."""


class Reporting:
    """Losses on their way from the device to the file and to whoever watches."""

    def __init__(
        self, recipe: Recipe, metrics: Metrics, clock: Clock, memory: Memory, forecast: Forecast, report: Report
    ) -> None:
        self._recipe, self._metrics, self._clock, self._memory = recipe, metrics, clock, memory
        self.forecast = forecast
        self._report = report
        self._pending: list[tuple[Tensor, float | None]] = []
        self.warnings: list[str] = []
        self._at = 0.0
        self._steps = 0
        self._smooth = metrics.smooth
        self._spill_told = False
        report(Progress(stage="forecast", message=forecast.sentence(), data=_forecast_data(forecast)))

    def take(self, loss: Tensor, step_size: float | None) -> None:
        """Keep a step's loss without waiting for it, and the step size of an optimizer that finds its own."""
        self._pending.append((loss, step_size))

    @property
    def due(self) -> bool:
        return time.monotonic() - self._at >= REPORT_SECONDS

    def flush(self, step: int, learner: Learner, forecast: Forecast) -> None:
        """Tell of the steps up to ``step``; ``forecast`` is that of the rung on which they are taken now.

        Raises HubError if a loss is not finite: no checkpoint is spoilt then.
        """
        if not self._pending:
            return
        losses = [float(loss) for loss in torch.stack([loss for loss, _ in self._pending]).tolist()]
        sizes = [size for _, size in self._pending]
        self._pending.clear()
        first = step - len(losses)
        lines = [self._line(first + i, *each, learner.rates) for i, each in enumerate(zip(losses, sizes, strict=True))]
        self._metrics.add(lines)
        self._steps += len(losses)
        self._at = time.monotonic()
        if forecast.rung != self.forecast.rung:
            self.forecast = forecast
        self._correct(step)
        pace = self._clock.pace(step)
        last = lines[-1]
        data = {
            **last,
            "losses": losses,
            "eta": round(pace * (self._recipe.length.steps - step), 1),
            "speed": round(1 / pace, 4) if pace else 0.0,
            "memory": self._memory.used,
            "memory_peak": self._memory.peak,
        }
        total = self._recipe.length.steps
        self._report(Progress(stage="train", done=step, total=total, unit="steps", data=data))
        self._tell_spill(step)
        if learner.is_stuck(step) != (STUCK in self.warnings):
            self._tell_stuck(step)

    def validated(self, step: int, epoch: int, loss: float) -> None:
        """Tell of a validation."""
        line = {"step": step, "epoch": epoch, "validation": loss}
        self._metrics.add([line])
        self._report(Progress(stage="validate", data=line))

    def _line(self, step: int, loss: float, size: float | None, rates: Mapping[str, float]) -> dict[str, object]:
        if not math.isfinite(loss):
            hint = "lower optimizer.unet_lr and text_lr, or train in fp32; the last checkpoint is from before"
            raise HubError(f"the loss is not finite at step {step + 1}", hint)
        self._smooth = smoothed(self._smooth, loss, step)
        share = rate_at(step, self._recipe)
        named = {name: rate * share for name, rate in rates.items()}
        first = next(iter(named.values()), 0.0)
        line = {"step": step + 1, "loss": loss, "smooth": round(self._smooth, 7), "lr": first, "rates": named}
        return line if size is None else {**line, "d": size}

    def _tell_stuck(self, step: int) -> None:
        """Say that Prodigy finds no rate, or take that back where it has found one late."""
        if STUCK in self.warnings:
            self.warnings.remove(STUCK)
            return
        self.warnings.append(STUCK)
        self._report(Progress(stage="train", done=step, total=self._recipe.length.steps, message=STUCK))

    def _correct(self, step: int) -> None:
        if self.forecast.corrected or self._steps < min(MEASURED_STEPS, self._recipe.length.steps):
            return
        pace = self._clock.pace(step)
        self.forecast = corrected(self.forecast, step_seconds=pace, peak=self._memory.peak)
        data = _forecast_data(self.forecast)
        self._report(Progress(stage="forecast", message=self.forecast.sentence(), data=data))

    def _tell_spill(self, step: int) -> None:
        spilled = self._memory.spilled
        if not spilled or self._spill_told:
            return
        self._spill_told = True
        message = (
            f"{spilled / 1e9:.1f} GB spilled to slower memory by step {step}: close what else uses it, "
            "or stop and set machine.checkpointing to on"
        )
        self._report(Progress(stage="train", done=step, total=self._recipe.length.steps, message=message))


def smoothed(before: float | None, loss: float, step: int) -> float:
    """The running mean after ``step`` (from 0): plain for the first steps, then exponential with :data:`SMOOTH`."""
    if before is None:
        return loss
    keep = min(SMOOTH, step / (step + 1))
    return keep * before + (1 - keep) * loss


def _forecast_data(forecast: Forecast) -> dict[str, object]:
    return {
        "memory": forecast.need.total,
        "free": forecast.free,
        "step_seconds": round(forecast.step_seconds, 4),
        "seconds": round(forecast.seconds, 1),
        "effective_batch": forecast.effective_batch,
        "saving": str(forecast.rung),
        "corrected": forecast.corrected,
    }
