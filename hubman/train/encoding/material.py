"""What the loop reads at each step: latents and text states, encoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from hubman.progress import Progress, Report
from hubman.train.architectures.base import Conditioning, Framing, Latent, stack
from hubman.train.captioning.captions import compose
from hubman.train.data.buckets import Size
from hubman.train.data.dataset import Dataset, DatasetImage, distinct
from hubman.train.data.masks import has_mask, load_mask
from hubman.train.data.views import View, views
from hubman.train.encoding.encoded import Encoded
from hubman.train.loss.sending import sent
from hubman.train.recipe import Recipe
from hubman.train.settings.learning import Part
from registry.errors import DamagedFileError, HubError

MOST_BYTES = 1 << 30
"""Of conditionings in memory: 4,500 captions of SD 1.x, 130 of FLUX; the others are read from the disk each time."""


@dataclass(frozen=True)
class Item:
    """One image as it is trained: cut to a bucket, possibly mirrored."""

    name: str
    pixels: str
    """SHA-256 of the image's pixels, marked when mirrored or not cut at the centre: the key of its validation noise."""
    caption: str
    size: Size
    framing: Framing
    latent: Latent
    repeats: int = 1
    """How often it is shown in a pass."""
    mask: Tensor | None = None
    """How much each pixel counts, ``[h, w]`` in 0..1; None where all count alike."""


def training_images(dataset: Dataset) -> list[DatasetImage]:
    """The usable images, of copies the best described one. Raises HubError if none is left."""
    images = distinct(dataset.usable)
    if not images:
        raise HubError(f"{dataset.folder.name} holds no image that can be decoded", "see `hubman dataset check`")
    return images


def encode_items(dataset: Dataset, encoded: Encoded, recipe: Recipe, report: Report) -> list[Item]:
    """Cut each image to its bucket and encode it; one at a time, so that the result does not depend on the others.

    What an earlier run encoded is taken from the disk, and its picture is not even decoded.
    """
    images = training_images(dataset)
    items = []
    for done, image in enumerate(images, 1):
        caption = _caption(image, recipe)
        for view in views(image, recipe.images):
            size = view.cut.bucket
            framing = Framing(view.cut.original, view.cut.top_left, size)
            latent = encoded.latent(view.pixels, size, partial(_decoded, view))
            mask = _mask(view, recipe) if recipe.loss.masked else None
            items.append(Item(image.name, view.pixels, caption, size, framing, latent, view.repeats, mask))
        report(Progress(stage="encode images", done=done, total=len(images), unit="images"))
    return items


def _caption(image: DatasetImage, recipe: Recipe) -> str:
    """Trigger, prefix and suffix on every line: each can be all that is read of the caption."""
    lines = (image.caption or "").splitlines() or [""]
    prefix, suffix = recipe.captions.prefix, recipe.captions.suffix
    return "\n".join(compose(line, recipe.trigger, prefix=prefix, suffix=suffix) for line in lines)


def _decoded(view: View) -> Image.Image:
    """The view's pixels. Raises DamagedFileError for a file that changed since it was checked."""
    try:
        return view.picture()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        hint = "replace it or leave it out (hubman dataset leave), then resume the training"
        raise DamagedFileError(f"{view.image.name} cannot be decoded any more ({reason})", hint) from error


def _mask(view: View, recipe: Recipe) -> Tensor | None:
    if not has_mask(view.image, recipe.images.masks):
        return None
    mask = load_mask(view.image, view.cut, recipe.images.masks)
    return mask.flip(1) if view.mirrored else mask


class TextStates:
    """Conditionings of captions from frozen text encoders, on the device as far as :data:`MOST_BYTES` reach.

    Where some encoders are ``trained``, only what the others say.
    """

    def __init__(
        self,
        encoded: Encoded,
        clip_skip: int,
        device: torch.device,
        chunks: int = 1,
        trained: frozenset[Part] = frozenset(),
    ) -> None:
        self._encoded, self._trained = encoded, trained
        self._clip_skip, self._chunks = clip_skip, chunks
        self._device = device
        self._known: OrderedDict[str, Conditioning] = OrderedDict()
        self._held = 0

    def prepare(self, captions: Iterable[str], report: Report) -> None:
        """Encode ``captions`` now, so that the steps that read them need no text encoder."""
        distinct = list(dict.fromkeys(captions))
        for done, caption in enumerate(distinct, 1):
            self._one(caption)
            report(Progress(stage="encode captions", done=done, total=len(distinct), unit="captions"))

    def of(self, captions: Sequence[str]) -> Conditioning:
        """The batch's conditioning, on the device."""
        return stack(self.each(captions))

    def each(self, captions: Sequence[str]) -> list[Conditioning]:
        """The conditioning of each caption, on the device."""
        return [self._one(caption) for caption in captions]

    def _one(self, caption: str) -> Conditioning:
        known = self._known.get(caption)
        if known is None:
            answer = self._encoded.text(caption, self._clip_skip, self._chunks, self._trained)
            # Masks stay: what they tell is asked by the host, which would have to wait for a card.
            known = {
                name: sent(tensor, self._device) if tensor.is_floating_point() else tensor
                for name, tensor in answer.items()
            }
            self._known[caption] = known
            self._held += _bytes(known)
            while self._held > MOST_BYTES and len(self._known) > 1:
                self._held -= _bytes(self._known.popitem(last=False)[1])
        return known


def _bytes(conditioning: Conditioning) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in conditioning.values())
