"""A recipe's data: the set that it names, and what its images and captions are measured against."""

from __future__ import annotations

from pathlib import Path

from hubman.progress import Report, silent
from hubman.train.checks import Rules
from hubman.train.dataset import Dataset, read_dataset
from hubman.train.recipe import Recipe
from hubman.train.views import bucket_rules


def read_data(recipe: Recipe, cache: Path | None = None, report: Report = silent) -> Dataset:
    """The recipe's data set with its masks; raises as :func:`~hubman.train.dataset.read_dataset`."""
    images = recipe.images
    masks = Path(images.mask_folder) if images.masks == "folder" and images.mask_folder else None
    return read_dataset(Path(recipe.dataset), cache, report, masks=masks)


def rules_for(recipe: Recipe, *, most_tokens: int | None = None, force: bool = False) -> Rules:
    """What the recipe asks of images and captions.

    ``most_tokens`` is how many the base reads at once, where it sets that itself; ``force`` as in :class:`Rules`.
    """
    return Rules(
        resolution=recipe.resolution,
        trigger=recipe.trigger,
        max_tokens=most_tokens or recipe.captions.max_tokens,
        force=force,
        batch=recipe.length.batch,
        resolutions=bucket_rules(recipe.images),
        masks=recipe.images.masks if recipe.loss.masked else "none",
    )
