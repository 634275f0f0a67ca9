"""What the families with a UNet have in common: which modules are trained, and their noise schedule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import nn

from hubman.lora.keys import kohya_clip
from hubman.train.adapters.network import Target
from hubman.train.architectures.clip import Clip
from hubman.train.loss.noise_schedule import NoiseSchedule
from registry.errors import HubError

_ATTENTION = re.compile(r"(^|\.)attentions\.\d+\.")
_CONV = re.compile(r"(^|\.)(resnets|downsamplers|upsamplers)\.\d+\.")
_ENCODER = re.compile(r"(^|\.)encoder\.layers\.\d+\.")


def unet_paths(unet: nn.Module, *, conv: bool) -> Iterator[str]:
    """The modules of a UNet that kohya's scripts adapt: attention blocks, with ``conv`` resnets and samplers too."""
    for path, module in unet.named_modules():
        chosen = _ATTENTION.search(path) or (conv and _CONV.search(path))
        if chosen and isinstance(module, nn.Linear | nn.Conv2d):
            yield path


def text_targets(clips: Sequence[Clip]) -> list[Target]:
    """The Linears in the layers of CLIP encoders, by kohya's names."""
    found = []
    for clip in clips:
        for path, module in clip.encoder.named_modules():
            if _ENCODER.search(path) and isinstance(module, nn.Linear):
                found.append(Target(kohya_clip(clip.key, path), clip.encoder, path, text=True))
    return found


def schedule_of(config: Mapping[str, Any], name: str, device: torch.device) -> NoiseSchedule:
    """The noise schedule that a scheduler's configuration means, whatever its class.

    With ``rescale_betas_zero_snr`` the last timestep has no signal left (Lin et al. 2024). Raises HubError for a
    prediction that isn't trained, and for one of noise where there is only noise.
    """
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise HubError(f"{name} predicts {prediction!r}", "only epsilon and v-prediction bases can be trained")
    velocity = prediction == "v_prediction"
    if config.get("rescale_betas_zero_snr") and not velocity:
        raise HubError(f"{name} says zero terminal SNR but predicts noise", "zero terminal SNR needs v-prediction")
    whole = DDPMScheduler.from_config(dict(config))
    return NoiseSchedule.of(whole.alphas_cumprod, v_prediction=velocity, device=device)
