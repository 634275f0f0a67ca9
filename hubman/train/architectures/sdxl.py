"""SDXL, and Pony, Illustrious and NoobAI, which are SDXL to the last tensor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from hubman.lora.keys import UNetLayout, kohya_unet
from hubman.train.adapters.network import Target
from hubman.train.architectures.base import Conditioning, Framing, Identity
from hubman.train.architectures.clip import Clip
from hubman.train.architectures.model import Model, digest_of
from hubman.train.architectures.opening import Parts
from hubman.train.architectures.unet import schedule_of, text_targets, unet_paths
from hubman.train.loss.sending import sent


class StableDiffusionXL(Model):
    """One UNet, CLIP-L and OpenCLIP's bigG; it is told how each picture was cut (Podell et al. 2023, section 2.2)."""

    denoiser_name = "unet"
    align_your_steps = "StableDiffusionXLSigmas"

    def __init__(self, parts: Parts, device: torch.device, dtype: torch.dtype, *, mixed: bool) -> None:
        super().__init__(parts, device, dtype, mixed=mixed)
        schedule = schedule_of(self.scheduler_config, parts.name, device)
        self.process = schedule
        unet = self.denoiser
        self.identity = Identity(
            name=parts.name,
            base_model_version="sdxl_base_v1-0",
            v2=False,
            modelspec="stable-diffusion-xl-v1-base/lora",
            implementation="https://github.com/Stability-AI/generative-models",
            prediction="v" if schedule.v_prediction else "epsilon",
            weights_digest=digest_of(
                each.weight for each in (unet.conv_in, unet.conv_out, unet.add_embedding.linear_1)
            ),
        )

    def _clips(self) -> Iterable[Clip]:
        yield self._clip(1, "lora_te1", penultimate=True)
        yield self._clip(2, "lora_te2", penultimate=True)

    def targets(self, *, conv: bool, text: bool) -> list[Target]:
        """The modules that kohya's scripts adapt, in the original (LDM) names, as these write them."""
        layout = UNetLayout.of(path for path, _ in self.denoiser.named_modules())
        found = [Target(kohya_unet(path, layout), self.denoiser, path) for path in unet_paths(self.denoiser, conv=conv)]
        return found + (text_targets(self.clips) if text else [])

    def join(
        self,
        states: Sequence[Tensor],
        pooled: Sequence[Tensor],
        longer: Mapping[str, Tensor],  # noqa: ARG002 - no such encoder here
    ) -> Conditioning:
        """Both encoders' states beside each other, and what bigG says of the whole."""
        return {"states": torch.cat(list(states), dim=-1), "pooled": pooled[1]}

    def answer(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, framings: Sequence[Framing]
    ) -> Tensor:
        """See :class:`~hubman.train.architectures.model.Model`."""
        told = sent(torch.tensor([_micro_conditioning(framing) for framing in framings]), noisy.device)
        added = {"text_embeds": conditioning["pooled"], "time_ids": told}
        states = conditioning["states"]
        answer: Tensor = self.denoiser(noisy, timesteps, states, added_cond_kwargs=added, return_dict=False)[0]
        return answer


def _micro_conditioning(framing: Framing) -> list[float]:
    """Heights come before widths, and the top before the left."""
    (width, height), (left, top), (to_width, to_height) = framing.original, framing.crop, framing.target
    return [float(number) for number in (height, width, top, left, to_height, to_width)]
