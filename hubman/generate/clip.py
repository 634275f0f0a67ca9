"""CLIP scores of pictures against a prompt, from a local CLIPModel folder; without torchvision."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from registry.errors import DamagedFileError, NotFoundError

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
_BATCH = 16


class ClipScorer:
    """A CLIPModel with its tokenizer, loaded from ``folder`` (``DamagedFileError`` if that cannot be done)."""

    def __init__(self, folder: Path, *, device: torch.device | None = None) -> None:
        from transformers import CLIPModel, CLIPTokenizer

        if not folder.is_dir():
            raise NotFoundError(f"CLIP model {folder} is not there", "give a folder with a CLIPModel")
        try:
            self._model = CLIPModel.from_pretrained(str(folder), local_files_only=True, dtype=torch.float32).eval()
            self._tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
            self._settings = _image_settings(folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).strip().split("\n", maxsplit=1)[0]
            raise DamagedFileError(f"CLIP model {folder} cannot be loaded ({reason})") from error
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model.to(self._device)
        self._side = int(self._model.config.vision_config.image_size)

    @torch.inference_mode()
    def score(self, pictures: Sequence[Path], prompt: str) -> list[float]:
        """The cosine (-1..1) of each picture with ``prompt``."""
        text = self._tokenizer([prompt], padding="max_length", truncation=True, return_tensors="pt").to(self._device)
        scores: list[float] = []
        for start in range(0, len(pictures), _BATCH):
            pixels = torch.stack([self._pixels(path) for path in pictures[start : start + _BATCH]]).to(self._device)
            output = self._model(input_ids=text.input_ids, attention_mask=text.attention_mask, pixel_values=pixels)
            scores += torch.nn.functional.cosine_similarity(output.image_embeds, output.text_embeds).tolist()
        return scores

    def _pixels(self, path: Path) -> torch.Tensor:
        """[3, side, side]: shorter edge scaled, centre cut out, normalised."""
        try:
            with Image.open(path) as opened:
                image = opened.convert("RGB")
        except (OSError, SyntaxError) as error:
            raise DamagedFileError(f"{path} is not a picture that can be read ({error})") from error
        scale = self._side / min(image.size)
        width, height = (max(self._side, round(edge * scale)) for edge in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - self._side) // 2, (height - self._side) // 2
        image = image.crop((left, top, left + self._side, top + self._side))
        values = np.asarray(image, dtype=np.float32) / 255
        mean, std = (np.asarray(self._settings[name], dtype=np.float32) for name in ("image_mean", "image_std"))
        return torch.from_numpy(((values - mean) / std).transpose(2, 0, 1).copy())


def _image_settings(folder: Path) -> dict[str, Any]:
    settings: dict[str, Any] = {"image_mean": _MEAN, "image_std": _STD}
    path = folder / "preprocessor_config.json"
    if path.is_file():
        stored = json.loads(path.read_bytes())
        settings |= {name: stored[name] for name in settings if name in stored}
    return settings
