"""Reading a folder of images for training, with the recipe that fits what is in it. For threads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hubman.train.checks import Rules, check
from hubman.train.data.dataset import Dataset, read_dataset
from hubman.train.data.measured import cache_file
from hubman.train.recipe_data import check_data, read_data, rules_for
from registry.errors import HubError
from tui import recipes
from tui.data_set import Sheet, measured
from tui.recipes import Draft

if TYPE_CHECKING:
    from hubman.progress import Report
    from hubman.train.recipe import Kind, Recipe
    from registry.database import Registry


def read(
    registry: Registry, folder: Path, recipe: Recipe | None, before: Draft | None, base: str, kind: Kind, report: Report
) -> tuple[Sheet, Draft | None, str]:
    """The folder, the draft of ``recipe`` (or ``before`` going on, or a new one), and why there is no new one.

    Remembers the folder. Raises ``HubError`` for a folder without images.
    """
    from hubman.train import recent

    known = recipe or (before.recipe if before else None)
    if known is not None and Path(known.dataset) == folder:
        dataset = read_data(known, registry.home, report)
    else:
        dataset = read_dataset(folder, cache_file(registry.home, folder), report)
    recent.remember(registry.home, dataset=folder)
    images, problem = len(dataset.usable), ""
    draft: Draft | None
    try:
        if recipe is not None:
            draft = recipes.from_recipe(recipe, images)
        elif before is not None:
            draft = recipes.with_images(before, images)
        else:
            draft = recipes.draft(folder, images, base=base, kind=kind)
    except HubError as error:
        draft, problem = None, str(error)
    return checked(registry.home, dataset, draft.recipe if draft else None), draft, problem


def checked(home: Path, dataset: Dataset, recipe: Recipe | None) -> Sheet:
    """The findings of a data set, measured against a recipe if there is one; ``home`` is hubman's folder."""
    if recipe is None:
        return measured(dataset, check(dataset, Rules()), Rules())
    return measured(dataset, check_data(recipe, dataset, home), rules_for(recipe))
