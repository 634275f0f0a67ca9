"""A training once more, from the file that it left: the same one again, or further from where it ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from hubman.jobs import store
from hubman.train.recipe import Recipe, from_values, read_recipe
from registry.database import Registry
from registry.errors import HubError, NotFoundError, UsageError
from registry.hashing import hash_file
from registry.headers import read_header

RECIPE, VERSIONS = "hubman.recipe", "hubman.versions"
"""Where a LoRA's metadata carries them."""


def recipe_of(registry: Registry, path: Path, *, base: str = "", dataset: str = "", further: bool = False) -> Recipe:
    """The recipe that made the LoRA at ``path``; ``further`` starts from its weights instead of from nothing.

    Base and data set are not in the file: they come from this machine's own training of it, or from ``base`` and
    ``dataset``. Raises NotFoundError for a file without a recipe, UsageError where a path is wanting.
    """
    values = _carried(path)
    known = _own_training(registry, path) if not (base and dataset) else None
    base = base or (known.base if known else "")
    dataset = dataset or (known.dataset if known else "")
    if not base or not dataset:
        missing = " and ".join(option for option, given in (("--base", base), ("--dataset", dataset)) if not given)
        raise UsageError(f"{path.name} was not trained on this machine", f"say {missing}")
    recipe = from_values({**values, "base": base, "dataset": dataset}, path.name)
    if known and known.images.mask_folder:
        recipe = _changed(recipe, "images", mask_folder=known.images.mask_folder)
    return _changed(recipe, "network", start_from=str(path.absolute())) if further else recipe


def differences_of_versions(path: Path) -> dict[str, tuple[str, str]]:
    """What computes otherwise than when ``path`` was trained: name to (then, now). Empty where nothing is recorded."""
    from hubman.train.versions import versions

    try:
        then = msgspec.json.decode(_metadata(path).get(VERSIONS, "{}"), type=dict[str, str])
    except msgspec.DecodeError:
        return {}
    now = versions()
    return {name: (then[name], now.get(name, "none")) for name in sorted(then) if now.get(name) != then[name]}


def _carried(path: Path) -> dict[str, Any]:
    text = _metadata(path).get(RECIPE)
    if not text:
        raise NotFoundError(f"{path.name} carries no recipe", "hubman writes one into all that it trains")
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise HubError(f"the recipe in {path.name} can't be read ({error})", "train from a recipe file") from error


def _metadata(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}", "give the path of a LoRA that hubman trained")
    return read_header(path).metadata


def _own_training(registry: Registry, path: Path) -> Recipe | None:
    """The recipe, paths and all, of the newest job here whose result is the file at ``path``."""
    sha256 = hash_file(path).sha256
    for job in store.latest(registry):
        if job.kind == "train" and (job.result or {}).get("sha256") == sha256:
            try:
                return read_recipe(Path(job.request["recipe"]))
            except HubError:
                continue
    return None


def _changed(recipe: Recipe, section: str, **values: Any) -> Recipe:
    changed = msgspec.structs.replace(getattr(recipe, section), **values)
    return msgspec.structs.replace(recipe, **{section: changed})
