"""First drafts of captions by CLIP: rank sentences and phrases by how close CLIP puts them to the image.

The method is CLIP Interrogator's: a sentence to start from, then a chain of phrases, each the one that raises the
cosine similarity between image and text most. The sentence comes from ranked templates, so no captioning model is
needed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubman.train.files import write_atomically
from hubman.train.pictures import load_rgb
from hubman.train.terms import Terms
from registry.errors import DamagedFileError, HubError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

MOST_FLAVOURS = 8
SHORTLIST = 32
"""Phrases that are tried as a continuation: those that are closest to the image on their own."""
LEAST_GAIN = 0.002
"""A phrase must raise the cosine by this much to be appended."""
CHUNK = 256

Describe = Callable[[Path], str]


class Interrogator:
    """A CLIP model with the embeddings of one term list."""

    def __init__(self, clip: Path, terms: Terms, cache_folder: Path | None = None, device: str = "cpu") -> None:
        """Load the ``transformers`` CLIP folder ``clip``; ``cache_folder`` keeps text embeddings between runs.

        Raises MissingExtraError without the ml extra, DamagedFileError if the folder holds no CLIP model.
        """
        try:
            import torch
            from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer
        except ImportError as error:
            raise MissingExtraError("captions by CLIP need torch", "pip install 'hubman[ml]'") from error
        self._torch = torch
        self._device = torch.device(device)
        try:
            self._model: Any = CLIPModel.from_pretrained(
                clip, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
            self._tokenizer: Any = CLIPTokenizer.from_pretrained(clip, local_files_only=True)
            self._processor: Any = CLIPImageProcessorPil.from_pretrained(clip, local_files_only=True)
        except (OSError, ValueError) as error:
            raise DamagedFileError(
                f"{clip.name} is not a CLIP model folder", "give a folder saved by transformers"
            ) from error
        self._model = self._model.to(self._device).eval()
        self._sentences = terms.candidates()
        self._flavours = tuple(dict.fromkeys(phrase for phrases in terms.flavours.values() for phrase in phrases))
        texts = (*self._sentences, *self._flavours)
        known = self._embed_cached(texts, terms.digest, cache_folder)
        self._sentence_vectors = known[: len(self._sentences)]
        self._flavour_vectors = known[len(self._sentences) :]

    def caption(self, path: Path) -> str:
        """The sentence closest to the image, and the phrases that bring it closer still."""
        image = self.embed_image(load_rgb(path))
        best = int((self._sentence_vectors @ image).argmax())
        text, score = self._sentences[best], float(self._sentence_vectors[best] @ image)
        shortlist = self._shortlist(image)
        for _ in range(MOST_FLAVOURS):
            longer = [f"{text}, {phrase}" for phrase in shortlist]
            if not longer or self._tokens(text) >= self._tokenizer.model_max_length - 2:
                break
            scores = self.embed_texts(longer) @ image
            winner = int(scores.argmax())
            if float(scores[winner]) < score + LEAST_GAIN:
                break
            text, score = longer[winner], float(scores[winner])
            del shortlist[winner]
        return text

    def rank(self, path: Path, texts: list[str]) -> list[tuple[str, float]]:
        """``texts`` with their cosine to the image, closest first."""
        scores = (self.embed_texts(texts) @ self.embed_image(load_rgb(path))).tolist()
        return sorted(zip(texts, scores, strict=True), key=lambda pair: -pair[1])

    def embed_image(self, image: Image.Image) -> Tensor:
        """A unit vector ``[width]``."""
        with self._torch.inference_mode():
            inputs = self._processor(images=image, return_tensors="pt").to(self._device)
            pooled = self._model.vision_model(**inputs).pooler_output
            vector: Tensor = self._model.visual_projection(pooled)[0]
            return _unit(vector)

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Unit vectors ``[len(texts), width]``."""
        torch = self._torch
        rows = []
        with torch.inference_mode():
            for start in range(0, len(texts), CHUNK):
                tokens = self._tokenizer(
                    texts[start : start + CHUNK], padding=True, truncation=True, return_tensors="pt"
                )
                pooled = self._model.text_model(**tokens.to(self._device)).pooler_output
                rows.append(_unit(self._model.text_projection(pooled)))
        vectors: Tensor = torch.cat([torch.zeros(0, self._model.config.projection_dim, device=self._device), *rows])
        return vectors

    def _shortlist(self, image: Tensor) -> list[str]:
        order = (self._flavour_vectors @ image).argsort(descending=True)[:SHORTLIST]
        return [self._flavours[i] for i in order.tolist()]

    def _tokens(self, text: str) -> int:
        return len(self._tokenizer(text).input_ids)

    def _embed_cached(self, texts: tuple[str, ...], digest: str, folder: Path | None) -> Tensor:
        if folder is None:
            return self.embed_texts(list(texts))
        from safetensors import SafetensorError
        from safetensors.torch import load, save

        path = folder / f"{self._model_digest()[:16]}-{digest[:16]}.safetensors"
        try:
            known: Tensor = load(path.read_bytes())["vectors"].to(self._device)
            if known.shape[0] == len(texts):
                return known
        except (OSError, SafetensorError, KeyError):
            pass
        vectors = self.embed_texts(list(texts))
        try:
            write_atomically(path, save({"vectors": vectors.cpu().contiguous()}))
        except HubError:
            return vectors  # a cache that cannot be written costs seconds, not captions
        return vectors

    def _model_digest(self) -> str:
        """Identifies the weights by some of them: cheap, and different for every training."""
        import hashlib

        weight = self._model.text_projection.weight.detach().float().cpu().contiguous()
        return hashlib.sha256(weight.numpy().tobytes()).hexdigest()


def _unit(vectors: Tensor) -> Tensor:
    unit: Tensor = vectors / vectors.norm(dim=-1, keepdim=True)
    return unit
