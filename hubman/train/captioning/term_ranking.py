"""The vectors of lists of terms, kept on disk, and which terms are closest to a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hubman.train.captioning.clip_model import ClipModel
from hubman.train.files import write_atomically
from registry.errors import HubError

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 2048
"""Rows that are compared at once."""
_VECTORS, _TERMS = "vectors", "terms_sha256"


class TermRanking:
    """The terms of one list with their vectors, in half precision ``[count, width]``."""

    def __init__(self, terms: Sequence[str], vectors: Tensor) -> None:
        self.terms = tuple(terms)
        self.vectors = vectors

    def top(self, image: Tensor, count: int, *, lowest: bool = False) -> list[tuple[str, float]]:
        """The ``count`` terms closest to (``lowest``: furthest from) a picture's vector, with their cosines.

        Two stages, so that a long list is never compared at once: the best of each chunk, then of these.
        """
        best: list[tuple[str, float]] = []
        for start in range(0, len(self.terms), CHUNK):
            scores = self.vectors[start : start + CHUNK].to(image.device).float() @ image
            values, places = scores.topk(min(count, len(scores)), largest=not lowest)
            best += [
                (self.terms[start + place], value)
                for place, value in zip(places.tolist(), values.tolist(), strict=True)
            ]
        return sorted(best, key=lambda pair: pair[1] if lowest else -pair[1])[:count]


def rank_terms(clip: ClipModel, name: str, terms: Sequence[str], cache: Path | None) -> TermRanking:
    """Embed the list called ``name``; ``cache`` is a folder that keeps one file for each list and CLIP model."""
    if cache is None:
        return TermRanking(terms, clip.embed_texts(list(terms)).half().cpu())
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save

    path = cache / f"{clip.digest()[:16]}-{name}.safetensors"
    digest = hashlib.sha256("\n".join(terms).encode()).hexdigest()
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get(_TERMS) == digest:
                return TermRanking(terms, file.get_tensor(_VECTORS))
    except (OSError, SafetensorError):
        pass
    vectors = clip.embed_texts(list(terms)).half().cpu().contiguous()
    with suppress(HubError):  # a cache that cannot be written costs seconds, not captions
        write_atomically(path, save({_VECTORS: vectors}, {_TERMS: digest}))
    return TermRanking(terms, vectors)
