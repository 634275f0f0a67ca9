"""What the loop needs of an architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from hubman.train.network import Target
from hubman.train.noise import NoiseSchedule


@dataclass(frozen=True)
class Identity:
    """How a base is named in the files that are trained on it."""

    name: str
    base_model_version: str
    """``ss_base_model_version``: A1111 and Forge sort by it."""
    v2: bool
    modelspec: str
    """``modelspec.architecture``."""
    implementation: str
    prediction: str
    """``epsilon`` or ``v``."""
    weights_digest: str
    """SHA-256 of a few of its tensors: tells whether a run is resumed on the same base."""


@dataclass(frozen=True)
class Latent:
    """An encoded image: mean and spread of the VAE's answer, scaled, fp32 ``[C, h, w]``."""

    mean: Tensor
    std: Tensor


class Architecture(Protocol):
    """A frozen base model: encodes, predicts, and draws samples with whatever hangs in its modules."""

    identity: Identity
    schedule: NoiseSchedule
    device: torch.device

    def targets(self, *, conv: bool, text: bool) -> list[Target]:
        """The modules to adapt: attention blocks, with ``conv`` the resnets too, with ``text`` the text encoder."""

    def encode_image(self, picture: Image.Image) -> Latent:
        """Encode an RGB image whose sides fit the VAE."""

    def encode_text(self, captions: Sequence[str], clip_skip: int) -> Tensor:
        """States ``[len(captions), tokens, width]``; gradients flow if they are on."""

    def predict(self, noisy: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
        """The UNet's answer, fp32."""

    def draw(self, prompt: str, *, seed: int, side: int, steps: int, guidance: float, clip_skip: int) -> Image.Image:
        """One square picture; the same arguments and weights give the same picture."""

    def count_tokens(self, caption: str) -> int:
        """Tokens of ``caption`` without start and end."""
