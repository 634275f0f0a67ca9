"""What the loop reads at each step: latents and text states, encoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import ImageOps
from torch import Tensor

from hubman.progress import Progress, Report
from hubman.train.architectures.base import Architecture, Latent
from hubman.train.buckets import BucketRules, Size, cut, fit
from hubman.train.captions import compose
from hubman.train.dataset import Dataset, DatasetImage
from hubman.train.pictures import load_rgb
from hubman.train.recipe import Recipe
from registry.errors import HubError

MOST_STATES = 4096
"""Text states kept at once: 0.9 GB for SD 1.x in fp32."""


@dataclass(frozen=True)
class Item:
    """One image as it is trained, possibly mirrored."""

    name: str
    pixels: str
    """SHA-256 of the image's pixels, marked when mirrored: the key of its validation noise."""
    caption: str
    size: Size
    latent: Latent


def training_images(dataset: Dataset) -> list[DatasetImage]:
    """The usable images, exact duplicates once. Raises HubError if none is left."""
    images = list({image.picture.pixels: image for image in reversed(dataset.usable)}.values())[::-1]
    if not images:
        raise HubError(f"{dataset.folder.name} holds no image that can be decoded", "see `hubman dataset check`")
    return images


def encode_items(dataset: Dataset, architecture: Architecture, recipe: Recipe, report: Report) -> list[Item]:
    """Cut each image to its bucket and encode it; one at a time, so that the result does not depend on the others."""
    rules = BucketRules(recipe.resolution, recipe.bucket_low, recipe.bucket_high, recipe.bucket_step)
    images = training_images(dataset)
    items = []
    for done, image in enumerate(images, 1):
        whole = load_rgb(image.path)
        how = cut(whole.size, rules)
        size, picture = how.bucket, fit(whole, how)
        caption = compose(image.caption or "", recipe.trigger)
        items.append(Item(image.name, image.picture.pixels, caption, size, architecture.encode_image(picture)))
        if recipe.flip:
            latent = architecture.encode_image(ImageOps.mirror(picture))
            items.append(Item(image.name, f"{image.picture.pixels}:mirrored", caption, size, latent))
        report(Progress(stage="encode images", done=done, total=len(images), unit="images"))
    return items


class TextStates:
    """States of captions from a frozen text encoder, the last few thousand kept.

    Each caption is encoded by itself: in a batch, its last bits would depend on its neighbours.
    """

    def __init__(self, architecture: Architecture, clip_skip: int) -> None:
        self._architecture = architecture
        self._clip_skip = clip_skip
        self._known: OrderedDict[str, Tensor] = OrderedDict()

    def of(self, captions: Sequence[str]) -> Tensor:
        """``[len(captions), tokens, width]`` on the device."""
        return torch.stack([self._one(caption) for caption in captions])

    def _one(self, caption: str) -> Tensor:
        known = self._known.get(caption)
        if known is None:
            with torch.no_grad():
                known = self._architecture.encode_text([caption], self._clip_skip)[0]
            self._known[caption] = known
            if len(self._known) > MOST_STATES:
                self._known.popitem(last=False)
        return known
