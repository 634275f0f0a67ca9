"""What a picture is going to look like, from its latents: a linear map to colours, fitted to the base's own VAE."""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from hubman.train.architectures.model import Model

SIDE = 64
"""Pixels that a preview has at most."""
_BLOCKS, _BLOCK = 8, 4
_SEED = 0


class Previewer:
    """Previews of one base; fits its map at the first."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._map: Tensor | None = None

    @torch.inference_mode()
    def png(self, latent: Tensor) -> bytes:
        """A small file with what ``latent`` ``[C, h, w]`` shows now; noise beyond the range of pictures is scaled down."""
        if self._map is None:
            self._map = _fitted(self._model)
        x = latent.float().cpu()
        x = x / x.std().clamp(min=1)
        x = F.interpolate(x[None], size=_within(x.shape[1:]), mode="area")[0]
        rgb = (_with_one(x.flatten(1).t()) @ self._map).clamp(0, 255).round().to(torch.uint8)
        image = Image.fromarray(rgb.view(*x.shape[1:], 3).numpy())
        file = io.BytesIO()
        image.save(file, format="PNG")
        return file.getvalue()


def _within(shape: Sequence[int]) -> tuple[int, int]:
    shrunk = max(1.0, max(shape) / SIDE)
    return max(1, round(shape[0] / shrunk)), max(1, round(shape[1] / shrunk))


def _fitted(model: Model) -> Tensor:
    """``[C + 1, 3]`` from a latent and 1 to RGB (0..255): least squares over patches of constant random latents."""
    channels, generator = model.latent_channels, torch.Generator("cpu").manual_seed(_SEED)
    patches = torch.randn(1, channels, _BLOCKS, _BLOCKS, generator=generator)
    latent = F.interpolate(patches, scale_factor=_BLOCK, mode="nearest")[0]
    picture = model.decode(latent.to(model.device)).convert("RGB")
    told = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).float()
    pixels = told.view(picture.height, picture.width, 3).permute(2, 0, 1)
    means = F.adaptive_avg_pool2d(pixels, (_BLOCKS, _BLOCKS)).flatten(1).t()
    solution: Tensor = torch.linalg.lstsq(_with_one(patches[0].flatten(1).t()), means).solution
    return solution


def _with_one(rows: Tensor) -> Tensor:
    return torch.cat([rows, torch.ones(rows.shape[0], 1)], dim=1)
