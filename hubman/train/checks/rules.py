"""What a data set is measured against."""

from __future__ import annotations

import msgspec

from hubman.train.data.buckets import BucketRules, Cut, Size, cuts
from hubman.train.data.mask_files import MaskSource


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the pictures and captions are measured against: what a recipe or a base asks for."""

    resolution: int = 512
    """Side in pixels of the square that has the training area; the largest of several."""
    trigger: str = ""
    max_tokens: int = 75
    force: bool = False
    """Fewer than five images become a warning."""
    batch: int = 1
    resolutions: tuple[BucketRules, ...] = ()
    """The buckets of each resolution; without any, those usual for :attr:`resolution`."""
    repeats: int = 1
    """How often a pass shows every image, besides the repeats of its folder."""
    masks: MaskSource = "none"

    def buckets(self) -> tuple[BucketRules, ...]:
        return self.resolutions or (usual_buckets(self.resolution),)

    def cuts(self, size: Size) -> tuple[Cut, ...]:
        """How an image of ``size`` is cut at each resolution."""
        return cuts(size, self.buckets())

    def cut(self, size: Size) -> Cut:
        """How an image of ``size`` is cut at the largest resolution: what a contact sheet or a preview shows."""
        return cuts(size, [max(self.buckets(), key=lambda rules: rules.resolution)])[0]


def usual_buckets(resolution: int) -> BucketRules:
    """Sides from half to twice the resolution in steps of 64 pixels; small bases have finer steps."""
    return BucketRules(resolution, resolution // 2, 2 * resolution, 64 if resolution >= 256 else 8)
