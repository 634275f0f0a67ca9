"""What a training will take: bytes and seconds, told before it starts and corrected after ten steps.

The costs of a family are those of its own model class at full size, counted on shapes alone (no weights): the elements
that autograd keeps for the backward pass with a LoRA in every attention and feed-forward layer, and the operations of
one forward pass, each for a pixel of the latent. Flash attention keeps no attention matrix, so both grow with the area.
"""

from __future__ import annotations

import msgspec

from hubman.train.capacity.ladder import Rung

LATENT_PIXEL = 64
"""Pixels of the image to one of the latent."""


class Costs(msgspec.Struct, frozen=True):
    """Of one latent pixel."""

    parameters: int
    """Of the model that was counted; one with more costs as much more."""
    kept: float
    """Elements that the backward pass needs."""
    checkpointed: float
    """The same when blocks are computed twice."""
    operations: float
    """Floating-point operations of a forward pass."""


_SD = Costs(859_520_964, 118_500, 18_700, 170e6)
_SDXL = Costs(2_567_463_684, 220_000, 17_500, 370e6)
COSTS: dict[str, Costs] = {
    "sd15": _SD,
    "sd2": _SD,
    "sdxl": _SDXL,
    "pony": _SDXL,
    "illustrious": _SDXL,
    "noobai": _SDXL,
    "sd35": Costs(2_243_171_520, 291_000, 10_400, 432e6),
    "flux": Costs(11_901_408_320, 973_000, 50_100, 3_650e6),
}
_OTHER = Costs(1_000_000_000, 120_000, 10_000, 200e6)
"""The middle of those: what is not counted yet, as for a billion parameters."""
_BLOCKS = 12
"""Of the parts that are computed twice one at a time is whole again, at most this share of all."""
_MIXED = 1.3
"""Half precision keeps norms and sums in fp32."""
_PROCESS = 450 << 20
"""Bytes of an interpreter with torch and diffusers, or of a card's context and workspace."""
EFFICIENCY = 0.6
"""The share of a plain matrix product's speed that a training step reaches."""


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What is trained, in numbers."""

    family: str
    parameters: int
    """Frozen ones of the model that predicts."""
    reading: int = 0
    """Frozen ones of text encoders that stay on the device."""
    trained: int
    """Parameters of the adapter."""
    pixels: int
    """Area of the largest bucket."""
    batch: int
    """Images that go through the model at once."""
    batches: int = 1
    """Such batches before each step."""
    weight_bytes: int = 4
    """Of one frozen weight."""
    state_bytes: int = 8
    """What the optimizer keeps for one trained parameter."""

    @property
    def costs(self) -> Costs:
        """The family's costs, for a model of this size."""
        row = COSTS.get(self.family, _OTHER)
        share = self.parameters / row.parameters
        return Costs(self.parameters, row.kept * share, row.checkpointed * share, row.operations * share)


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, by what takes them."""

    weights: int
    adapter: int
    activations: int
    process: int = _PROCESS

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.activations + self.process


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """How a training is going to run."""

    rung: Rung
    need: Need
    free: int
    """Bytes that there are for it."""
    step_seconds: float
    steps: int
    effective_batch: int
    corrected: bool = False
    """Whether the numbers are measured rather than computed."""

    @property
    def fits(self) -> bool:
        return self.need.total <= self.free

    @property
    def seconds(self) -> float:
        """Of all steps, without samples and validation."""
        return self.step_seconds * self.steps

    def sentence(self) -> str:
        """The forecast in one line."""
        source = "measured" if self.corrected else "expected"
        return (
            f"{source}: {self.need.total / 1e9:.1f} of {self.free / 1e9:.1f} GB, {_span(self.step_seconds)} a step, "
            f"{_span(self.seconds)} for {self.steps} steps of {self.effective_batch} images; to save memory: {self.rung}"
        )


def need(workload: Workload, rung: Rung) -> Need:
    """The memory that ``workload`` takes with what ``rung`` gives up."""
    costs = workload.costs
    weight = 1.0 if rung.int8 else float(workload.weight_bytes)
    weights = 0 if rung.offload else round(workload.parameters * weight)
    weights += workload.reading * workload.weight_bytes
    kept = costs.checkpointed + costs.kept / _BLOCKS if rung.checkpointing else costs.kept
    element = 4.0 if workload.weight_bytes == 4 else workload.weight_bytes * _MIXED
    images = -(-workload.batch // rung.split)
    activations = round(kept * element * images * workload.pixels / LATENT_PIXEL)
    # The weight itself and its gradient, both in fp32, beside the optimizer's state.
    adapter = workload.trained * (8 + workload.state_bytes)
    return Need(weights=weights, adapter=adapter, activations=activations)


def step_seconds(workload: Workload, rung: Rung, operations_per_second: float) -> float:
    """Seconds of one optimizer step on a device that does so many operations of a plain matrix product a second.

    Forward, and backward through the frozen layers, which have no gradients of their own: twice the forward pass.
    """
    passes = 3 if rung.checkpointing else 2
    images = workload.batch * workload.batches
    operations = passes * workload.costs.operations * images * workload.pixels / LATENT_PIXEL
    return operations / (EFFICIENCY * operations_per_second)


def moved(forecast: Forecast, workload: Workload, rung: Rung) -> Forecast:
    """``forecast`` on another rung, not measured yet."""
    longer = step_seconds(workload, rung, 1.0) / step_seconds(workload, forecast.rung, 1.0)
    seconds = forecast.step_seconds * longer
    return msgspec.structs.replace(
        forecast, rung=rung, need=need(workload, rung), step_seconds=seconds, corrected=False
    )


def corrected(forecast: Forecast, *, step_seconds: float, peak: int) -> Forecast:
    """``forecast`` with what the first steps took: seconds a step and the most bytes at once."""
    rest = forecast.need.total - forecast.need.activations
    measured = msgspec.structs.replace(forecast.need, activations=max(0, peak - rest))
    if peak < rest:
        measured = Need(weights=peak, adapter=0, activations=0, process=0)
    return msgspec.structs.replace(forecast, need=measured, step_seconds=step_seconds, corrected=True)


def _span(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
