"""Stable Diffusion 1.x and 2.x, and hubman's embedded base, which is one of them in small."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from hubman.lora.keys import kohya_unet
from hubman.train.adapters.network import Target
from hubman.train.architectures.base import Conditioning, Framing, Identity
from hubman.train.architectures.clip import Clip
from hubman.train.architectures.model import Model, digest_of
from hubman.train.architectures.opening import Parts
from hubman.train.architectures.unet import schedule_of, text_targets, unet_paths


class StableDiffusion(Model):
    """One UNet, one CLIP."""

    denoiser_name = "unet"

    def __init__(self, parts: Parts, device: torch.device, dtype: torch.dtype, *, mixed: bool) -> None:
        super().__init__(parts, device, dtype, mixed=mixed)
        schedule = schedule_of(self.scheduler_config, parts.name, device)
        self.process = schedule
        velocity = schedule.v_prediction
        v2 = parts.detected.family == "sd2"
        kind = "stable-diffusion-v2-768-v" if velocity else "stable-diffusion-v2-512"
        self.identity = Identity(
            name=parts.name,
            base_model_version=("sd_v2_v" if velocity else "sd_v2") if v2 else "sd_v1",
            v2=v2,
            modelspec=f"{kind if v2 else 'stable-diffusion-v1'}/lora",
            implementation="diffusers",
            prediction="v" if velocity else "epsilon",
            weights_digest=digest_of(
                each.weight
                for each in (self.denoiser.conv_in, self.denoiser.conv_out, self.denoiser.time_embedding.linear_1)
            ),
        )

    def _clips(self) -> Iterable[Clip]:
        yield self._clip(1, "lora_te")

    def targets(self, *, conv: bool, text: bool) -> list[Target]:
        """The modules that kohya's scripts adapt; see :class:`~hubman.train.architectures.base.Architecture`."""
        found = [Target(kohya_unet(path), self.denoiser, path) for path in unet_paths(self.denoiser, conv=conv)]
        return found + (text_targets(self.clips) if text else [])

    def join(
        self,
        states: Sequence[Tensor],
        pooled: Sequence[Tensor],  # noqa: ARG002 - not of this model
        longer: Mapping[str, Tensor],  # noqa: ARG002
    ) -> Conditioning:
        """The CLIP's states, as they are."""
        return {"states": states[0]}

    def answer(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        framings: Sequence[Framing],  # noqa: ARG002 - SDXL's
    ) -> Tensor:
        """See :class:`~hubman.train.architectures.model.Model`."""
        answer: Tensor = self.denoiser(noisy, timesteps, conditioning["states"], return_dict=False)[0]
        return answer
