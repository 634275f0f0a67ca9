"""What FLUX.1, SD 3.5 and Z-Image have in common: a transformer that undoes flow matching."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hubman.generate.samplers import make_flow_scheduler
from hubman.generate.schedules import AUTOMATIC
from hubman.lora.keys import kohya_unet
from hubman.train.adapters.network import Target
from hubman.train.architectures.model import Model
from hubman.train.architectures.opening import Parts
from hubman.train.architectures.unet import text_targets
from hubman.train.loss.flow import FlowMatching
from hubman.train.loss.timesteps import PATCH, shift_exponent


class FlowModel(Model):
    """A diffusion transformer; its LoRA modules bear the original model's names."""

    sampler = "Euler"
    outer_names: ClassVar[Mapping[str, str]] = {}
    """The original name of modules outside the blocks, by their paths here."""

    def __init__(self, parts: Parts, device: torch.device, dtype: torch.dtype, *, mixed: bool) -> None:
        super().__init__(parts, device, dtype, mixed=mixed)
        self._names = self._restore(self.denoiser)
        self.process = FlowMatching()

    @abstractmethod
    def _restore(self, transformer: Any) -> Mapping[str, str]:
        """Fuse the layers that the original model has in one, and give the original name of each path to train."""

    def _sigmas(self, steps: int) -> Any:
        """Before the scheduler shifts them, as the model's own pipeline has them; None for the scheduler's."""
        return np.linspace(1.0, 1 / steps, steps)

    @property
    def step(self) -> int:
        """See :class:`~hubman.train.architectures.model.Model`."""
        return self.vae_scale * PATCH

    @property
    def default_size(self) -> tuple[int, int]:
        """See :class:`~hubman.train.architectures.model.Model`; all of these were trained around 1024 x 1024."""
        side = 128 * self.vae_scale
        return side, side

    @property
    def original_names(self) -> Mapping[str, str]:
        """See :class:`~hubman.train.architectures.model.Model`; also of modules outside the blocks, which few change."""
        return {**self.outer_names, **self._names}

    def targets(self, *, conv: bool, text: bool) -> list[Target]:  # noqa: ARG002 - there are no convolutions
        """The blocks' Linears by kohya's names; of the text encoders CLIP only, as T5 and LLMs learn nothing so."""
        found = [Target(kohya_unet(name), self.denoiser, path) for path, name in self._names.items()]
        return found + (text_targets(self.clips) if text else [])

    def time(self, t: Tensor, rows: int) -> Tensor:
        """Schedulers count to 1000, flow matching to 1."""
        return (t.float() / 1000).expand(rows)

    def scheduler(self, sampler: str, steps: int, size: tuple[int, int], schedule: str = AUTOMATIC) -> Any:
        """See :class:`~hubman.train.architectures.model.Model`. Raises UsageError too for a sampler without a flow form."""
        config = dict(self.scheduler_config)
        dynamic = bool(config.get("use_dynamic_shifting"))
        mu = _shift_of(config, size, self.step)
        return make_flow_scheduler(
            sampler,
            config,
            steps,
            sigmas=self._sigmas(steps),
            shift=math.exp(mu) if dynamic else float(config.get("shift", 1.0)),
            mu=mu if dynamic else None,
            schedule=schedule,
            device=self.device,
        )


_SHIFT = {
    "few": "base_image_seq_len",
    "many": "max_image_seq_len",
    "start": "base_shift",
    "end": "max_shift",
}
"""What schedulers call the parameters of ``shift_exponent``."""


def _shift_of(config: Mapping[str, Any], size: tuple[int, int], step: int) -> float:
    """The exponent of a scheduler's shift."""
    given = {name: config[entry] for name, entry in _SHIFT.items() if config.get(entry)}
    return shift_exponent((size[0] // step) * (size[1] // step), **given)


def read_t5(tokenizer: Any, encoder: Any, texts: Sequence[str], length: int) -> Tensor:
    """T5's states ``[texts, length, width]``, cut and padded to ``length`` tokens, without a mask as all peers do."""
    tokens = tokenizer(list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    device = next(encoder.parameters()).device
    states: Tensor = encoder(tokens.input_ids.to(device))[0]
    return states
