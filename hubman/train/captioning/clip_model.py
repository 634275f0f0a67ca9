"""A CLIP model: pictures and texts as unit vectors of one space."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.errors import DamagedFileError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

BATCH = 256
"""Texts in one forward pass."""
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
"""Say how pictures are scaled; without, as OpenAI's models were trained."""


class ClipModel:
    """The towers and the tokenizer of a ``transformers`` CLIP folder."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load ``folder``. Raises MissingExtraError without the ml extra, DamagedFileError if it holds no CLIP model."""
        try:
            import torch
            from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer
            from transformers.utils import logging
        except ImportError as error:
            raise MissingExtraError("captions by CLIP need torch", "pip install 'hubman[ml]'") from error
        logging.disable_progress_bar()  # it would be drawn over hubman's own
        self._torch = torch
        self.device = torch.device(device)
        try:
            model: Any = CLIPModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
            self._tokenizer: Any = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
            side = int(model.config.vision_config.image_size)
            usual = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
            self._processor: Any = (
                CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
                if any((folder / name).is_file() for name in _PROCESSORS)
                else CLIPImageProcessorPil(**usual)
            )
        except (OSError, ValueError) as error:
            raise DamagedFileError(
                f"{folder.name} is not a CLIP model folder", "give a folder saved by transformers"
            ) from error
        self._model = model.to(self.device).eval()
        self.max_tokens: int = min(
            self._tokenizer.model_max_length, self._model.config.text_config.max_position_embeddings
        )

    def embed_image(self, image: Image.Image) -> Tensor:
        """A unit vector ``[width]``."""
        return self.embed_images([image])[0]

    def embed_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Unit vectors ``[len(images), width]``, in one pass."""
        with self._torch.inference_mode():
            inputs = self._processor(images=list(images), return_tensors="pt").to(self.device)
            pooled = self._model.vision_model(**inputs).pooler_output
            return _unit(self._model.visual_projection(pooled))

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Unit vectors ``[len(texts), width]``; what is over the tokens that the model reads is cut off."""
        torch = self._torch
        rows = []
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                tokens = self._tokenizer(
                    texts[start : start + BATCH],
                    padding=True,
                    truncation=True,
                    max_length=self.max_tokens,
                    return_tensors="pt",
                )
                pooled = self._model.text_model(**tokens.to(self.device)).pooler_output
                rows.append(_unit(self._model.text_projection(pooled)))
        vectors: Tensor = torch.cat([torch.zeros(0, self._model.config.projection_dim, device=self.device), *rows])
        return vectors

    def fits(self, text: str) -> bool:
        """Whether the model reads all of ``text``."""
        return len(self._tokenizer(text, verbose=False).input_ids) <= self.max_tokens

    def digest(self) -> str:
        """Identifies the weights by some of them: cheap, and different for every training."""
        sums = hashlib.sha256()
        for weight in (self._model.text_projection.weight, self._model.visual_projection.weight):
            sums.update(weight.detach().float().cpu().contiguous().numpy().tobytes())
        return sums.hexdigest()


def _unit(vectors: Tensor) -> Tensor:
    unit: Tensor = vectors / vectors.norm(dim=-1, keepdim=True)
    return unit
