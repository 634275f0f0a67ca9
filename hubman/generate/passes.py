"""The passes that a picture takes: from noise, from another picture (img2img), and again at a higher resolution."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps, UnidentifiedImageError

from hubman.generate.request import DrawRequest
from registry.errors import DamagedFileError, NotFoundError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hubman.train.architectures.model import Model


@dataclass(frozen=True)
class Pass:
    """``size`` is (width, height) in pixels, ``first`` the sampling step that it begins with, of ``steps``."""

    size: tuple[int, int]
    steps: int
    first: int = 0


def picture_size(request: DrawRequest, model: Model) -> tuple[int, int]:
    """(width, height) in pixels of the first pass: the request's, where it says nothing the base's."""
    width, height = model.default_size
    return request.width or width, request.height or height


def passes_of(request: DrawRequest, model: Model) -> list[Pass]:
    """What is drawn one after the other. As in diffusers a pass takes the share ``denoise`` of its steps, rounded down."""
    size = picture_size(request, model)
    first = request.steps - int(request.steps * request.denoise) if request.init else 0
    found = [Pass(size, request.steps, first)]
    if (hires := request.hires) is not None:
        steps = hires.steps or request.steps
        found.append(Pass(_larger(request, size, model.step), steps, steps - int(steps * hires.denoise)))
    return found


def _larger(request: DrawRequest, size: tuple[int, int], step: int) -> tuple[int, int]:
    hires = request.hires
    assert hires is not None  # noqa: S101 - only asked then
    if hires.width is not None and hires.height is not None:
        return hires.width, hires.height
    width, height = (max(step, round(side * hires.scale / step) * step) for side in size)
    return width, height


def read_init(request: DrawRequest, model: Model) -> Tensor:
    """The latents [C, h, w] of the picture to start from, scaled to the size.

    Raises ``NotFoundError`` or ``DamagedFileError`` where it can't be had.
    """
    path = Path(request.init)
    if not path.is_file():
        raise NotFoundError(f"the picture {path} is not there", "give the path of a PNG, JPEG or WebP")
    try:
        with Image.open(path) as image:
            picture = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DamagedFileError(f"{path} is not a picture that can be read ({error})") from error
    return model.encode_image(picture.resize(picture_size(request, model), Image.Resampling.LANCZOS)).mean


class Walk:
    """A pass over a scheduler's noise levels for a batch of cells."""

    def __init__(self, each: Pass, model: Model, sampler: str, schedule: str) -> None:
        self.each = each
        self._scheduler = model.fresh_scheduler(sampler, each.steps, each.size, schedule)
        self._order = getattr(self._scheduler, "order", 1)
        self.times = self._scheduler.timesteps[each.first * self._order :]

    def __len__(self) -> int:
        """How often the denoiser is asked."""
        return len(self.times)

    def begin(self, latents: Tensor | None, noise: Tensor) -> Tensor:
        """Where to begin: ``noise``, or ``latents`` that are noisy as far as this pass goes back."""
        scheduler = self._scheduler
        # By its time alone the first step is not found where two noise levels round to one time.
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(self.each.first * self._order)
        if latents is None:
            return noise * getattr(scheduler, "init_noise_sigma", 1.0)
        if not len(self):
            return latents
        at = self.times[:1].repeat(len(latents))
        flow = hasattr(scheduler, "scale_noise")
        noisy: Tensor = scheduler.scale_noise(latents, at, noise) if flow else scheduler.add_noise(latents, noise, at)
        return noisy

    def run(
        self,
        latents: Tensor,
        generators: Sequence[torch.Generator],
        predict: Callable[[Tensor, Tensor, int], Tensor],
        tell: Callable[[Tensor], None],
    ) -> Tensor:
        """``predict`` is asked with the latents, the time and the sampling step, counted from 0 in this pass."""
        scheduler = self._scheduler
        extra: dict[str, Any] = {"generator": list(generators)} if _takes_generator(scheduler.__class__) else {}
        for number, t in enumerate(self.times):
            scaled = scheduler.scale_model_input(latents, t) if hasattr(scheduler, "scale_model_input") else latents
            step = min(number // self._order, self.each.steps - 1)
            latents = scheduler.step(predict(scaled, t, step), t, latents, **extra, return_dict=False)[0]
            tell(latents)
        return latents


@cache
def _takes_generator(scheduler: Any) -> bool:
    return "generator" in inspect.signature(scheduler.step).parameters
