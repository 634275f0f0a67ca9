"""A mask over the error: what is outside of it hardly counts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hubman.train.loss.sending import sent


def masked(errors: Tensor, masks: Sequence[Tensor | None], floor: float) -> Tensor:
    """``errors`` ``[B, C, h, w]`` weighed by each sample's mask; a sample without one counts whole.

    A mask is ``[H, W]`` in 0..1, of the picture or of the latents; it is brought to the latents' size by area. No weight
    is below ``floor``, or what lies outside would turn to mush.
    """
    if all(mask is None for mask in masks):
        return errors
    size = (errors.shape[-2], errors.shape[-1])
    whole = torch.ones(size)
    weights = [whole if mask is None else F.adaptive_avg_pool2d(mask[None], size)[0].clamp(min=floor) for mask in masks]
    return errors * sent(torch.stack(weights), errors.device)[:, None]
