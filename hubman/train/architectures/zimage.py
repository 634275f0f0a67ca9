"""Z-Image. Names as in its original checkpoints, which ComfyUI loads (Apache-2.0)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hubman.train.architectures.base import Conditioning, Framing, Identity
from hubman.train.architectures.clip import Clip
from hubman.train.architectures.flow_model import FlowModel
from hubman.train.architectures.fused import fuse
from hubman.train.architectures.model import digest_of
from hubman.train.architectures.opening import Parts

_BLOCK = {
    "attention.qkv": "attention.qkv",
    "attention.to_out.0": "attention.out",
    "feed_forward.w1": "feed_forward.w1",
    "feed_forward.w2": "feed_forward.w2",
    "feed_forward.w3": "feed_forward.w3",
    "adaLN_modulation.0": "adaLN_modulation.0",
}


class ZImage(FlowModel):
    """A transformer over one stream of picture and text tokens; Qwen 3 reads the text as a chat."""

    long_tokens = 512

    def __init__(self, parts: Parts, device: torch.device, dtype: torch.dtype, *, mixed: bool) -> None:
        super().__init__(parts, device, dtype, mixed=mixed)
        self._reader = self._text_part("text_encoder", "tokenizer")
        self.identity = Identity(
            name=parts.name,
            base_model_version="zimage",
            v2=False,
            modelspec="z-image/lora",
            implementation="https://github.com/Tongyi-MAI/Z-Image",
            prediction="flow",
            network_module="networks.lora_zimage",
            weights_digest=digest_of([self.denoiser.cap_embedder[1].weight, self.denoiser.t_embedder.mlp[0].weight]),
        )

    def _clips(self) -> Iterable[Clip]:
        return ()

    def _restore(self, transformer: Any) -> Mapping[str, str]:
        names: dict[str, str] = {}
        for stack in ("noise_refiner", "context_refiner", "layers"):
            for i, block in enumerate(getattr(transformer, stack)):
                fuse(block.attention, "qkv", ("to_q", "to_k", "to_v"))
                linears = {path for path, module in block.named_modules() if isinstance(module, torch.nn.Linear)}
                names |= {
                    f"{stack}.{i}.{path}": f"{stack}.{i}.{name}" for path, name in _BLOCK.items() if path in linears
                }
        return names

    def _tokens(self, text: str, **settings: Any) -> Any:
        tokenizer = self.parts["tokenizer"]
        said = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True, enable_thinking=True
        )
        return tokenizer(said, truncation=True, max_length=self.long_tokens, **settings)

    def read_long(self, texts: Sequence[str]) -> list[Mapping[str, Tensor]]:
        """The last layer but one of each, filled up to 512 tokens, with a mask of those that count, on the CPU."""
        found: list[Mapping[str, Tensor]] = []
        for text in texts:
            # Without the padding: a causal model's tokens know nothing of what comes after them.
            tokens = self._tokens(text, return_tensors="pt").to(self.device)
            states = self._reader.get()(**tokens, output_hidden_states=True).hidden_states[-2][0]
            mask = torch.arange(self.long_tokens) < states.shape[0]
            found.append({"states": F.pad(states, (0, 0, 0, self.long_tokens - states.shape[0])), "mask": mask})
        return found

    def join(self, states: Sequence[Tensor], pooled: Sequence[Tensor], longer: Mapping[str, Tensor]) -> Conditioning:  # noqa: ARG002
        """What the reader says, as it is."""
        return longer

    def answer(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        framings: Sequence[Framing],  # noqa: ARG002 - SDXL's
    ) -> Tensor:
        """See :class:`~hubman.train.architectures.model.Model`; this model counts time from noise to picture."""
        pictures = list(noisy.unsqueeze(2).unbind(0))
        lengths = conditioning["mask"].sum(dim=1).tolist()
        texts = [states[:length] for states, length in zip(conditioning["states"], lengths, strict=True)]
        answers = self.denoiser(pictures, 1 - timesteps, texts, return_dict=False)[0]
        return -torch.stack(list(answers)).squeeze(2)
