"""Pictures and prompts as vectors of one space, from a local CLIPModel folder: what the curve asks CLIP for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hubman.generate.metrics.pixels import Array
from hubman.train.captioning.clip_model import ClipModel
from registry.errors import DamagedFileError, NotFoundError

_BATCH = 16


class ClipEmbedder:
    """A CLIPModel with its tokenizer, loaded from ``folder`` (``DamagedFileError`` if that cannot be done)."""

    def __init__(self, folder: Path, *, device: torch.device | None = None) -> None:
        if not folder.is_dir():
            raise NotFoundError(f"CLIP model {folder} is not there", "give a folder with a CLIPModel")
        self._model = ClipModel(folder, str(device or ("cuda" if torch.cuda.is_available() else "cpu")))

    def images(self, pictures: Sequence[Path]) -> Array:
        """Unit vectors ``[pictures, width]``."""
        parts = [
            _array(self._model.embed_images([_opened(path) for path in pictures[start : start + _BATCH]]))
            for start in range(0, len(pictures), _BATCH)
        ]
        joined: Array = np.concatenate(parts)
        return joined

    def text(self, prompt: str) -> Array:
        """A unit vector ``[width]``; what is over the tokens that the model reads is cut off."""
        vector: Array = _array(self._model.embed_texts([prompt]))[0]
        return vector


def _array(vectors: Tensor) -> Array:
    found: Array = vectors.double().cpu().numpy()
    return found


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise DamagedFileError(f"{path} is not a picture that can be read ({error})") from error
