"""Stable Diffusion 3 and 3.5. Names as in Stability AI's code (MIT)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hubman.train.architectures.base import Conditioning, Framing, Identity
from hubman.train.architectures.clip import Clip
from hubman.train.architectures.flow_model import FlowModel, read_t5
from hubman.train.architectures.fused import fuse, swap_halves
from hubman.train.architectures.model import digest_of
from hubman.train.architectures.opening import Parts

_OUTER = {
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "proj_out": "final_layer.linear",
}
_PICTURE = {
    "norm1.linear": "adaLN_modulation.1",
    "attn.qkv": "attn.qkv",
    "attn.to_out.0": "attn.proj",
    "attn2.qkv": "attn2.qkv",
    "attn2.to_out.0": "attn2.proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
}
_TEXT = {
    "norm1_context.linear": "adaLN_modulation.1",
    "norm1_context.modulation": "adaLN_modulation.1",
    "attn.added_qkv": "attn.qkv",
    "attn.to_add_out": "attn.proj",
    "ff_context.net.0.proj": "mlp.fc1",
    "ff_context.net.2": "mlp.fc2",
}


class StableDiffusion3(FlowModel):
    """A multimodal transformer; both CLIPs' states stand before T5's, which may be missing."""

    outer_names = _OUTER
    long_tokens = 256

    def __init__(self, parts: Parts, device: torch.device, dtype: torch.dtype, *, mixed: bool) -> None:
        super().__init__(parts, device, dtype, mixed=mixed)
        self._t5 = self._text_part("text_encoder_3", "tokenizer_3") if parts["tokenizer_3"] is not None else None
        self._width = int(self.denoiser.config.joint_attention_dim)
        version = _version(self.denoiser.config)
        self.identity = Identity(
            name=parts.name,
            base_model_version=version,
            v2=False,
            modelspec=f"stable-diffusion-3-{version}/lora",
            implementation="https://github.com/Stability-AI/sd3.5",
            prediction="flow",
            network_module="networks.lora_sd3",
            weights_digest=digest_of(each.weight for each in (self.denoiser.pos_embed.proj, self.denoiser.proj_out)),
        )

    def _clips(self) -> Iterable[Clip]:
        yield self._clip(1, "lora_te1", penultimate=True)
        yield self._clip(2, "lora_te2", penultimate=True)

    def _restore(self, transformer: Any) -> Mapping[str, str]:
        names: dict[str, str] = {}
        for i, block in enumerate(transformer.transformer_blocks):
            fuse(block.attn, "qkv", ("to_q", "to_k", "to_v"))
            fuse(block.attn, "added_qkv", ("add_q_proj", "add_k_proj", "add_v_proj"))
            if block.attn2 is not None:
                fuse(block.attn2, "qkv", ("to_q", "to_k", "to_v"))
            if block.context_pre_only:
                # The last block's text half only shifts and scales, in diffusers the other way round.
                swap_halves(block.norm1_context, "modulation", "linear")
            linears = {path for path, module in block.named_modules() if isinstance(module, torch.nn.Linear)}
            for part, paths in (("x_block", _PICTURE), ("context_block", _TEXT)):
                names |= {
                    f"transformer_blocks.{i}.{path}": f"joint_blocks.{i}.{part}.{name}"
                    for path, name in paths.items()
                    if path in linears
                }
        return names

    def _sigmas(self, steps: int) -> Any:  # noqa: ARG002 - the scheduler's own
        return None

    def read_long(self, texts: Sequence[str]) -> list[Mapping[str, Tensor]]:
        """T5's states of each; zeros where the base has no T5."""
        if self._t5 is None:
            nothing = torch.zeros(self.long_tokens, self._width, device=self.device)
            return [{"states": nothing} for _ in texts]
        states = read_t5(self.parts["tokenizer_3"], self._t5.get(), texts, self.long_tokens)
        return [{"states": each} for each in states]

    def join(self, states: Sequence[Tensor], pooled: Sequence[Tensor], longer: Mapping[str, Tensor]) -> Conditioning:
        """The CLIPs' states beside each other, filled up to T5's width, then T5's."""
        clips = torch.cat(list(states), dim=-1)
        clips = F.pad(clips, (0, self._width - clips.shape[-1]))
        return {"states": torch.cat([clips, longer["states"].to(clips)]), "pooled": torch.cat(list(pooled))}

    def answer(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        framings: Sequence[Framing],  # noqa: ARG002 - SDXL's
    ) -> Tensor:
        """See :class:`~hubman.train.architectures.model.Model`."""
        answer: Tensor = self.denoiser(
            hidden_states=noisy,
            timestep=timesteps * 1000,
            encoder_hidden_states=conditioning["states"],
            pooled_projections=conditioning["pooled"],
            return_dict=False,
        )[0]
        return answer


def _version(config: Any) -> str:
    """What sd-scripts calls it: queries and keys are normalised since 3.5, and only its medium attends twice."""
    if not config.qk_norm:
        return "medium"
    return "5-medium" if config.dual_attention_layers else "5-large"
