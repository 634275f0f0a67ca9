"""A recipe's data: the set that it names, and what the checks find in it."""

from __future__ import annotations

from pathlib import Path

from hubman.progress import Report, silent
from hubman.train.captioning.tokens import token_rule
from hubman.train.checks import Finding, Rules, check
from hubman.train.data.dataset import Dataset, read_dataset
from hubman.train.data.likeness_cache import likeness_file, read_likeness
from hubman.train.data.measured import cache_file
from hubman.train.data.views import bucket_rules, showings
from hubman.train.recipe import Recipe


def read_data(recipe: Recipe, home: Path | None = None, report: Report = silent) -> Dataset:
    """The recipe's data set with its masks; ``home`` is hubman's folder, where measurements are remembered.

    Raises as :func:`~hubman.train.data.dataset.read_dataset`.
    """
    images, folder = recipe.images, Path(recipe.dataset)
    masks = Path(images.mask_folder) if images.masks == "folder" and images.mask_folder else None
    return read_dataset(folder, cache_file(home, folder) if home else None, report, masks=masks)


def rules_for(recipe: Recipe, *, force: bool = False) -> Rules:
    """What the recipe and its base ask of images and captions; ``force`` as in :class:`Rules`."""
    return Rules(
        resolution=recipe.resolution,
        trigger=recipe.trigger,
        max_tokens=token_rule(Path(recipe.base)).most or recipe.captions.max_tokens,
        force=force,
        batch=recipe.length.batch,
        resolutions=bucket_rules(recipe.images),
        repeats=showings(recipe.images),
        masks=recipe.images.masks if recipe.loss.masked else "none",
    )


def check_data(recipe: Recipe, dataset: Dataset, home: Path, *, force: bool = False) -> tuple[Finding, ...]:
    """Every finding in the recipe's data set, errors first.

    Tokens are counted by the base's own tokenizer; what CLIP said of the set before is taken into account.
    """
    likeness = read_likeness(likeness_file(home, dataset.folder))
    return check(dataset, rules_for(recipe, force=force), token_rule(Path(recipe.base)).count, likeness)
