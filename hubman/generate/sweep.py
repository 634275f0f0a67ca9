"""One LoRA at several strengths: the plan that a curve is measured on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hubman.generate.grids.grid import Grid, make_grid, settled
from hubman.generate.grids.lora_axes import lora_index, strength_axis, with_strength
from hubman.generate.grids.order import coarse_to_fine
from hubman.generate.grids.setting_axes import seed_axis
from hubman.generate.request import DrawRequest
from registry.errors import UsageError

DEFAULT_STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
DEFAULT_SEEDS = (1, 2, 3, 4)


class StrengthSweep(msgspec.Struct, frozen=True, kw_only=True):
    """One LoRA of ``request`` at several strengths, the same seeds at each; strength 0 is always among them.

    ``contrast`` is a second prompt; with it the curve tells how much the pictures still follow the prompt.
    """

    request: DrawRequest
    lora: str
    strengths: tuple[float, ...]
    seeds: tuple[int, ...]
    contrast: str = ""

    def at(self, strength: float, seed: int, prompt: str | None = None) -> DrawRequest:
        """The request for one strength and seed, with the sweep's own prompt or another."""
        request = with_strength(self.request, lora_index(self.request, self.lora), strength)
        request = settled(self.request, request)
        prompt = self.request.prompt if prompt is None else prompt
        return msgspec.structs.replace(request, seed=seed, prompt=prompt)

    def requests(self) -> list[DrawRequest]:
        """All that must be drawn, the extremes first so that a useful picture appears early."""
        prompts = [self.request.prompt, self.contrast] if self.contrast else [self.request.prompt]
        order = [self.strengths[i] for i in coarse_to_fine(len(self.strengths))]
        return [self.at(strength, seed, prompt) for prompt in prompts for strength in order for seed in self.seeds]

    def grid(self) -> Grid:
        """Strengths across, seeds down."""
        x = strength_axis(self.request, self.lora, self.strengths)
        return make_grid(self.request, [x, seed_axis(self.seeds)], title=f"{self.lora}: {self.request.prompt}")


def strength_sweep(
    request: DrawRequest,
    lora: str,
    *,
    strengths: Sequence[float] = DEFAULT_STRENGTHS,
    seeds: Sequence[int] = DEFAULT_SEEDS,
    contrast: str = "",
) -> StrengthSweep:
    """Sweep the LoRA called ``lora`` in ``request``. Raises ``UsageError`` if it is not there or nothing varies."""
    number = lora_index(request, lora)
    if not seeds or not strengths:
        raise UsageError("a sweep needs strengths and seeds", "for instance 0-1 (+0.2) and 4 seeds")
    if contrast == request.prompt:
        raise UsageError("the contrast prompt is the prompt itself", "change what the pictures shall show")
    ordered = tuple(sorted({0.0, *(float(strength) for strength in strengths)}))
    name = request.loras[number].name
    return StrengthSweep(request=request, lora=name, strengths=ordered, seeds=tuple(seeds), contrast=contrast)
