"""What the trainer needs of an architecture."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from PIL import Image
from torch import Tensor

from hubman.generate.request import DrawRequest
from hubman.train.adapters.network import Target
from hubman.train.data.buckets import Size
from hubman.train.encoding.weights_digest import Source
from hubman.train.loss.process import Process
from hubman.train.settings.learning import Part

Conditioning = Mapping[str, Tensor]
"""What conditions a prediction, one entry for each input that the base model takes: ``states``, ``pooled``, ...

Without a batch axis for one caption, with one in front for a batch (see :func:`stack`). The same entries and shapes
for every caption of a base and a number of chunks, so that any captions can be stacked and cached. On the device, but for
masks, which the host reads at each step.
"""


Encoder = Literal["image", "text"]
"""The parts that only encode: the VAE, and the text encoders with their tokenizers."""


Reader = Literal["text", "text2", "long"]
"""A text encoder: the first and the second CLIP, and one that reads a whole text at once."""


def stack(conditionings: Sequence[Conditioning]) -> Conditioning:
    """Captions' conditionings as one of a batch."""
    return {name: torch.stack([each[name] for each in conditionings]) for name in conditionings[0]}


@dataclass(frozen=True)
class Framing:
    """How a picture was cut; sizes are (width, height). SDXL is told, the others do not ask."""

    original: Size
    """Of the whole picture in pixels."""
    crop: tuple[int, int]
    """What was cut off at the left and at the top, in pixels of the scaled picture."""
    target: Size
    """What is trained: the bucket."""

    @classmethod
    def whole(cls, size: Size) -> Framing:
        """A picture that was not cut: what is asked for when one is drawn."""
        return cls(size, (0, 0), size)


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
    """``epsilon``, ``v``, or ``flow``."""
    weights_digest: str
    """SHA-256 of a few of its tensors: tells whether a run is resumed on the same base."""
    network_module: str = "networks.lora"
    """``ss_network_module`` of a plain LoRA in sd-scripts and musubi-tuner."""


@dataclass(frozen=True)
class Latent:
    """An encoded image: mean and spread of the VAE's answer, scaled, fp32 ``[C, h, w]``."""

    mean: Tensor
    std: Tensor


class Architecture(Protocol):
    """A frozen base model: encodes, predicts, and draws samples with whatever hangs in its modules."""

    identity: Identity
    process: Process
    device: torch.device
    denoiser: Any
    """The model that predicts, of diffusers' kind: its blocks can be checkpointed and compiled."""

    @property
    def sampler(self) -> str:
        """What samples are drawn with where nobody chose; a name of ``hubman.generate.samplers``."""

    @property
    def step(self) -> int:
        """Pixels that the sides of a picture are multiples of."""

    def targets(self, *, conv: bool, text: bool) -> list[Target]:
        """The modules to adapt: the attention blocks, with ``conv`` the resnets too, with ``text`` the text encoders."""

    def encode_image(self, picture: Image.Image) -> Latent:
        """Encode an RGB image whose sides fit the VAE."""

    def encode_text(
        self, captions: Sequence[str], clip_skip: int, chunks: int = 1, known: Sequence[Conditioning] = ()
    ) -> list[Conditioning]:
        """The conditioning of each caption; gradients flow if they are on.

        CLIP reads ``chunks`` pieces of 75 tokens. Encoders that read longer texts at once ignore ``clip_skip`` and
        ``chunks``. Those whose answers of :meth:`read_frozen` are ``known``, for each caption, are not asked again.
        """

    @property
    def readers(self) -> frozenset[Reader]:
        """The text encoders that there are."""

    @property
    def long_tokens(self) -> int:
        """Tokens that the encoder of whole texts reads; 0 where there is none."""

    def read_frozen(self, caption: str, clip_skip: int, chunks: int, trained: Collection[Part]) -> Conditioning:
        """What all text encoders but the ``trained`` ones say of a caption, as :meth:`encode_text` takes it."""

    def predict(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, framings: Sequence[Framing]
    ) -> Tensor:
        """The model's answer to ``noisy`` ``[B, C, h, w]``, fp32, of the same shape; one framing for each sample."""

    def draw(self, request: DrawRequest) -> Image.Image:
        """One picture; the same request and weights give the same picture. The request's base and LoRAs are ignored."""

    def encoder_sources(self, encoder: Encoder) -> Sequence[Source]:
        """Where everything stands that decides what the encoder says, so that answers can be kept on disk."""

    def place(self) -> None:
        """Bring what of the denoiser is not held elsewhere to the device that trains; until then it is in main memory."""

    def loaded(self, encoder: Encoder) -> int:
        """Frozen parameters of the encoder that are in memory now."""

    def release(self, encoder: Encoder, trained: Collection[Part] = ()) -> None:
        """Give back the encoder's memory until it is needed again, but not that of the ``trained`` ones."""
