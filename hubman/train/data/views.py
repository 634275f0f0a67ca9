"""The ways in which each image of a set is shown to the model: at which sizes, cut where, mirrored, how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageOps

from hubman.train.data.buckets import BucketRules, Cut, cut, cut_to, fit
from hubman.train.data.dataset import DatasetImage
from hubman.train.data.pictures import load_rgb
from hubman.train.settings.data import ImageSettings

CROPS = tuple((place / 3, place / 3) for place in range(4))
"""Where in the room to spare images are cut that are not cut at the centre: a few places, so that they can be cached."""


@dataclass(frozen=True)
class View:
    """One image, cut to a bucket, possibly mirrored."""

    image: DatasetImage
    cut: Cut
    mirrored: bool
    repeats: int
    """How often it is shown in a pass."""

    @property
    def pixels(self) -> str:
        """What tells its pixels from those of all other views of the same bucket."""
        usual = cut_to(self.cut.original, self.cut.bucket).box
        where = "" if self.cut.box == usual else ":" + ",".join(map(str, self.cut.box))
        return self.image.picture.pixels + where + (":mirrored" if self.mirrored else "")

    def picture(self) -> Image.Image:
        """The pixels that are trained, of the bucket's size."""
        shown = fit(load_rgb(self.image.path), self.cut)
        return ImageOps.mirror(shown) if self.mirrored else shown


def bucket_rules(settings: ImageSettings) -> tuple[BucketRules, ...]:
    """The buckets of each resolution."""
    return tuple(
        BucketRules(side, settings.bucket_low, settings.bucket_high, settings.bucket_step, settings.no_upscale)
        for side in settings.resolutions
    )


def showings(settings: ImageSettings) -> int:
    """How often a pass shows an image of a folder without a number at each resolution."""
    return settings.repeats * (len(CROPS) if settings.random_crop else 1) * (2 if settings.flip else 1)


def views(image: DatasetImage, settings: ImageSettings) -> Iterator[View]:
    """How ``image`` is shown. All images of a set are shown equally often but for their folders' repeats.

    Cuts that come out the same, as at two resolutions of which an image reaches neither, are one view shown twice.
    """
    size = image.picture.width, image.picture.height
    places = CROPS if settings.random_crop else ((0.5, 0.5),)
    cuts = Counter(cut(size, rules, place) for rules in bucket_rules(settings) for place in places)
    for how, times in cuts.items():
        for mirrored in (False, True) if settings.flip else (False,):
            yield View(image, how, mirrored, times * image.repeats * settings.repeats)
