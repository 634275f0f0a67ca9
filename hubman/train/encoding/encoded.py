"""What the frozen encoders say of images and captions, asked once and kept on disk for the next run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from hubman.train.architectures.base import Architecture, Conditioning, Encoder, Latent
from hubman.train.data.buckets import Size
from hubman.train.encoding.tensor_store import TensorStore, entry_key
from hubman.train.encoding.weights_digest import Digests
from hubman.train.settings.learning import Part
from hubman.train.versions import versions

_COMPUTE: dict[Encoder, tuple[str, ...]] = {
    "image": ("torch", "diffusers", "pillow"),
    "text": ("torch", "transformers", "tokenizers"),
}
"""The packages whose versions change what an encoder says."""


class Encoded:
    """Answers of one architecture's encoders; ``folder`` may be shared by any number of trainings at once.

    An entry's key holds everything that changes its content and nothing else: the pixels and how they are cut, or the
    caption and how it is read; the adapter that asks, the encoder's weights, where and in what precision it
    computes, and the versions of what computes.
    """

    def __init__(self, architecture: Architecture, folder: Path, dtype: str) -> None:
        self._architecture = architecture
        self._store = TensorStore(folder)
        self._digests = Digests(folder / "weights.json")
        self._marks: dict[Encoder, dict[str, str]] = {}
        self._dtype = dtype
        self.missed = 0
        """How often an encoder had to be asked."""

    @property
    def problem(self) -> str:
        """Why nothing can be kept, in one line; empty while all is well."""
        return self._store.problem

    def latent(self, pixels: str, size: Size, cut: Callable[[], Image.Image]) -> Latent:
        """The latent of the picture whose pixels have the hash ``pixels``, cut to ``size`` by ``cut``.

        ``cut`` is called only if the answer is not known. A mirrored picture has a hash of its own.
        """
        key = entry_key(kind="image", pixels=pixels, size=list(size), **self._mark("image"))
        if (known := self._store.get(key)) is None or not {"mean", "std"} <= known.keys():
            self.missed += 1
            latent = self._architecture.encode_image(cut())
            self._store.put(key, {"mean": latent.mean, "std": latent.std})
            return latent
        return Latent(known["mean"], known["std"])

    def text(
        self, caption: str, clip_skip: int, chunks: int = 1, trained: frozenset[Part] = frozenset()
    ) -> Conditioning:
        """The conditioning of ``caption`` from frozen text encoders, on the CPU.

        Where some are ``trained``, it is what the others say (see ``Architecture.read_frozen``). Each caption is encoded
        by itself: in a batch, its last bits would depend on its neighbours.
        """
        architecture = self._architecture
        if not (asked := architecture.readers - trained):
            return {}
        key = entry_key(
            kind="text",
            caption=caption,
            clip_skip=clip_skip,
            chunks=chunks,
            readers="all" if not trained else sorted(asked),
            **self._mark("text"),
        )
        known = self._store.get(key)
        if known is None:
            self.missed += 1
            with torch.no_grad():
                answer = (
                    architecture.read_frozen(caption, clip_skip, chunks, trained)
                    if trained
                    else architecture.encode_text([caption], clip_skip, chunks)[0]
                )
            known = {name: tensor.detach().cpu() for name, tensor in answer.items()}
            self._store.put(key, known)
        return known

    def trim(self) -> None:
        """Keep the folder within its bound."""
        self._store.trim()

    def _mark(self, encoder: Encoder) -> dict[str, str]:
        if encoder not in self._marks:
            architecture = self._architecture
            found = versions()
            self._marks[encoder] = {
                "adapter": type(architecture).__name__,
                "encoder": self._digests.of(architecture.encoder_sources(encoder)),
                "tokens": str(architecture.long_tokens) if encoder == "text" else "",
                "dtype": self._dtype if encoder == "text" else "fp32",
                "device": architecture.device.type,
                **{package: found.get(package, "") for package in _COMPUTE[encoder]},
            }
        return self._marks[encoder]
