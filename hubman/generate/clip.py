"""CLIP scores of pictures against a prompt, from a local CLIPModel folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from hubman.train.captioning.clip_model import ClipModel
from registry.errors import DamagedFileError, NotFoundError

_BATCH = 16


class ClipScorer:
    """A CLIPModel with its tokenizer, loaded from ``folder`` (``DamagedFileError`` if that cannot be done)."""

    def __init__(self, folder: Path, *, device: torch.device | None = None) -> None:
        if not folder.is_dir():
            raise NotFoundError(f"CLIP model {folder} is not there", "give a folder with a CLIPModel")
        self._model = ClipModel(folder, str(device or ("cuda" if torch.cuda.is_available() else "cpu")))

    def score(self, pictures: Sequence[Path], prompt: str) -> list[float]:
        """The cosine (-1..1) of each picture with ``prompt``."""
        text = self._model.embed_texts([prompt])[0]
        scores: list[float] = []
        for start in range(0, len(pictures), _BATCH):
            images = [_opened(path) for path in pictures[start : start + _BATCH]]
            scores += (self._model.embed_images(images) @ text).tolist()
        return scores


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise DamagedFileError(f"{path} is not a picture that can be read ({error})") from error
