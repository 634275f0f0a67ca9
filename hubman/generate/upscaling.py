"""Upscalers between the two passes of a picture, by their A1111 names: of latents, or of pixels by Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from hubman.train.architectures.model import Model


@dataclass(frozen=True)
class Upscaler:
    """``latent`` is a mode of ``torch.nn.functional.interpolate``, ``pixels`` a filter of Pillow; one of the two is given."""

    latent: str = ""
    antialias: bool = False
    pixels: str = ""


UPSCALERS: Mapping[str, Upscaler] = {
    "Latent": Upscaler("bilinear"),
    "Latent (antialiased)": Upscaler("bilinear", antialias=True),
    "Latent (bicubic)": Upscaler("bicubic"),
    "Latent (bicubic antialiased)": Upscaler("bicubic", antialias=True),
    "Latent (nearest)": Upscaler("nearest"),
    "Latent (nearest-exact)": Upscaler("nearest-exact"),
    "Lanczos": Upscaler(pixels="LANCZOS"),
    "Nearest": Upscaler(pixels="NEAREST"),
}


def upscaler(name: str) -> Upscaler:
    """Raises ``UsageError`` for one that isn't here."""
    if name not in UPSCALERS:
        raise UsageError(f"upscaler {name!r} is unknown", f"choose one of {', '.join(UPSCALERS)}")
    return UPSCALERS[name]


def upscale(latents: Tensor, name: str, size: tuple[int, int], model: Model) -> Tensor:
    """``latents`` [n, C, h, w] as those of pictures of ``size`` (width, height) pixels."""
    import torch
    from PIL import Image
    from torch.nn import functional as F

    chosen = upscaler(name)
    if chosen.latent:
        width, height = (side // model.vae_scale for side in size)
        return F.interpolate(latents, (height, width), mode=chosen.latent, antialias=chosen.antialias)
    larger = [model.decode(latent).resize(size, Image.Resampling[chosen.pixels]) for latent in latents]
    return torch.stack([model.encode_image(picture).mean for picture in larger]).to(latents)
