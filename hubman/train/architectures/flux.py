"""FLUX.1 dev and schnell. Names, packing and position ids as in Black Forest Labs' code (Apache-2.0)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hubman.train.architectures.base import Conditioning, Framing, Identity
from hubman.train.architectures.clip import Clip
from hubman.train.architectures.flow_model import FlowModel, read_t5
from hubman.train.architectures.fused import fuse
from hubman.train.architectures.model import digest_of
from hubman.train.architectures.opening import Parts
from hubman.train.loss.timesteps import PATCH

_DOUBLE = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.qkv": "img_attn.qkv",
    "attn.added_qkv": "txt_attn.qkv",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
}
_OUTER = {
    "x_embedder": "img_in",
    "context_embedder": "txt_in",
    "proj_out": "final_layer.linear",
    **{
        f"time_text_embed.{path}.linear_{number}": f"{name}.{layer}"
        for path, name in (
            ("timestep_embedder", "time_in"),
            ("text_embedder", "vector_in"),
            ("guidance_embedder", "guidance_in"),
        )
        for number, layer in ((1, "in_layer"), (2, "out_layer"))
    },
}
_SINGLE = {"norm.linear": "modulation.lin", "linear1": "linear1", "proj_out": "linear2"}


class Flux(FlowModel):
    """A transformer over packed latents; CLIP-L says one vector, T5 the tokens."""

    guidance_is_input = True
    outer_names = _OUTER

    def __init__(self, parts: Parts, device: torch.device, dtype: torch.dtype, *, mixed: bool) -> None:
        super().__init__(parts, device, dtype, mixed=mixed)
        self._t5 = self._text_part("text_encoder_2", "tokenizer_2")
        self._dev = bool(self.denoiser.config.guidance_embeds)
        self.long_tokens = 512 if self._dev else 256
        self.identity = Identity(
            name=parts.name,
            base_model_version="flux1",
            v2=False,
            modelspec=f"flux-1-{'dev' if self._dev else 'schnell'}/lora",
            implementation="https://github.com/black-forest-labs/flux",
            prediction="flow",
            network_module="networks.lora_flux",
            weights_digest=digest_of(each.weight for each in (self.denoiser.x_embedder, self.denoiser.proj_out)),
        )

    def _clips(self) -> Iterable[Clip]:
        yield self._clip(1, "lora_te1")

    def _restore(self, transformer: Any) -> Mapping[str, str]:
        names: dict[str, str] = {}
        for i, block in enumerate(transformer.transformer_blocks):
            fuse(block.attn, "qkv", ("to_q", "to_k", "to_v"))
            fuse(block.attn, "added_qkv", ("add_q_proj", "add_k_proj", "add_v_proj"))
            names |= {f"transformer_blocks.{i}.{path}": f"double_blocks.{i}.{name}" for path, name in _DOUBLE.items()}
        for i, block in enumerate(transformer.single_transformer_blocks):
            fuse(block, "linear1", ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"))
            names |= {
                f"single_transformer_blocks.{i}.{path}": f"single_blocks.{i}.{name}" for path, name in _SINGLE.items()
            }
        return names

    def read_long(self, texts: Sequence[str]) -> list[Mapping[str, Tensor]]:
        """T5's states of each."""
        states = read_t5(self.parts["tokenizer_2"], self._t5.get(), texts, self.long_tokens)
        return [{"states": each} for each in states]

    def join(self, states: Sequence[Tensor], pooled: Sequence[Tensor], longer: Mapping[str, Tensor]) -> Conditioning:  # noqa: ARG002
        """T5's states and what CLIP says of the whole; CLIP's own states are not of this model."""
        return {"states": longer["states"], "pooled": pooled[0]}

    def answer(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        framings: Sequence[Framing],  # noqa: ARG002 - SDXL's
    ) -> Tensor:
        """See :class:`~hubman.train.architectures.model.Model`; the guidance is 1 unless ``conditioning`` says it."""
        count, channels, height, width = noisy.shape
        rows, columns = height // PATCH, width // PATCH
        packed = noisy.view(count, channels, rows, PATCH, columns, PATCH).permute(0, 2, 4, 1, 3, 5)
        guidance = conditioning.get("guidance")
        if guidance is None and self._dev:
            guidance = torch.ones(count, device=noisy.device)
        answer = self.denoiser(
            hidden_states=packed.reshape(count, rows * columns, channels * PATCH**2),
            encoder_hidden_states=conditioning["states"],
            pooled_projections=conditioning["pooled"],
            timestep=timesteps,
            img_ids=_places(rows, columns, noisy.device),
            txt_ids=torch.zeros(conditioning["states"].shape[1], 3, device=noisy.device),
            guidance=guidance if self._dev else None,
            return_dict=False,
        )[0]
        unpacked = answer.view(count, rows, columns, channels, PATCH, PATCH).permute(0, 3, 1, 4, 2, 5)
        result: Tensor = unpacked.reshape(count, channels, height, width)
        return result


def _places(rows: int, columns: int, device: torch.device) -> Tensor:
    """Row and column of each token ``[rows · columns, 3]``; the first of the three is unused."""
    places = torch.zeros(rows, columns, 3, device=device)
    places[..., 1] = torch.arange(rows, device=device)[:, None]
    places[..., 2] = torch.arange(columns, device=device)
    return places.view(-1, 3)
