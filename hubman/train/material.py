"""What the loop reads at each step: latents and text states, encoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image, ImageOps

from hubman.progress import Progress, Report
from hubman.train.architectures.base import Conditioning, Framing, Latent, stack
from hubman.train.buckets import BucketRules, Size, fit, nearest
from hubman.train.captions import compose
from hubman.train.dataset import Dataset, DatasetImage
from hubman.train.encoded import Encoded
from hubman.train.pictures import load_rgb
from hubman.train.recipe import Recipe
from registry.errors import HubError

MOST_BYTES = 1 << 30
"""Of conditionings in memory: 4,500 captions of SD 1.x, 130 of FLUX; the others are read from the disk each time."""


@dataclass(frozen=True)
class Item:
    """One image as it is trained, possibly mirrored."""

    name: str
    pixels: str
    """SHA-256 of the image's pixels, marked when mirrored: the key of its validation noise."""
    caption: str
    size: Size
    framing: Framing
    latent: Latent


def training_images(dataset: Dataset) -> list[DatasetImage]:
    """The usable images, exact duplicates once. Raises HubError if none is left."""
    images = list({image.picture.pixels: image for image in reversed(dataset.usable)}.values())[::-1]
    if not images:
        raise HubError(f"{dataset.folder.name} holds no image that can be decoded", "see `hubman dataset check`")
    return images


def encode_items(dataset: Dataset, encoded: Encoded, recipe: Recipe, report: Report) -> list[Item]:
    """Cut each image to its bucket and encode it; one at a time, so that the result does not depend on the others.

    What an earlier run encoded is taken from the disk, and its picture is not even decoded.
    """
    buckets = BucketRules(
        recipe.resolution, recipe.images.bucket_low, recipe.images.bucket_high, recipe.images.bucket_step
    ).sizes()
    images = training_images(dataset)
    items = []
    for done, image in enumerate(images, 1):
        whole = (image.picture.width, image.picture.height)
        size = nearest(whole, buckets)
        caption = compose(image.caption or "", recipe.trigger)
        framing = Framing.of(whole, size)
        pixels = image.picture.pixels
        items.append(
            Item(image.name, pixels, caption, size, framing, encoded.latent(pixels, size, partial(_cut, image, size)))
        )
        if recipe.images.flip:
            pixels = f"{pixels}:mirrored"
            latent = encoded.latent(pixels, size, partial(_cut_mirrored, image, size))
            items.append(Item(image.name, pixels, caption, size, framing, latent))
        report(Progress(stage="encode images", done=done, total=len(images), unit="images"))
    return items


def _cut(image: DatasetImage, size: Size) -> Image.Image:
    return fit(load_rgb(image.path), size)


def _cut_mirrored(image: DatasetImage, size: Size) -> Image.Image:
    return ImageOps.mirror(_cut(image, size))


class TextStates:
    """Conditionings of captions from a frozen text encoder, on the device as far as :data:`MOST_BYTES` reach."""

    def __init__(self, encoded: Encoded, clip_skip: int, device: torch.device) -> None:
        self._encoded = encoded
        self._clip_skip = clip_skip
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
        return stack([self._one(caption) for caption in captions])

    def _one(self, caption: str) -> Conditioning:
        known = self._known.get(caption)
        if known is None:
            answer = self._encoded.text(caption, self._clip_skip)
            known = {name: tensor.to(self._device, non_blocking=True) for name, tensor in answer.items()}
            self._known[caption] = known
            self._held += _bytes(known)
            while self._held > MOST_BYTES and len(self._known) > 1:
                self._held -= _bytes(self._known.popitem(last=False)[1])
        return known


def _bytes(conditioning: Conditioning) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in conditioning.values())
