"""A training once more, from the file that it left: the same one again, or further from where it ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from hubman.train.history import runs
from hubman.train.recipe import Recipe, from_values, read_recipe
from hubman.train.recipe_versions import upgraded
from registry.database import Registry
from registry.errors import HubError, NotFoundError, UsageError
from registry.hashing import hash_file
from registry.headers import read_header

RECIPE, VERSIONS, LEFT_OUT = "hubman.recipe", "hubman.versions", "hubman.left_out"
"""Where a LoRA's metadata carries them."""
_JOBS = """
SELECT request FROM jobs WHERE kind = 'train' AND (
    json_extract(result, '$.sha256') = :sha256 OR json_extract(result, '$.version_id') = :run
    OR substr(:path, 1, length(folder) + 1) = folder || '/'
) ORDER BY created_at DESC, id DESC
"""


def recipe_of(
    registry: Registry,
    path: Path,
    *,
    base: str = "",
    dataset: str = "",
    further: bool = False,
    given: Collection[str] = (),
) -> Recipe:
    """The recipe that made the LoRA at ``path``; ``further`` starts from its weights instead of from nothing.

    What the file does not tell, such as its base and data set, comes from this machine's own training of it, or from
    ``base`` and ``dataset``; ``given`` names fields that the caller sets afterwards. Raises NotFoundError for a file
    without a recipe, UsageError where something is wanting.
    """
    values, left_out = _carried(path), _left_out(path)
    known = _own_training(registry, path)
    base = base or (known.base if known else "")
    dataset = dataset or (known.dataset if known else "")
    if not base or not dataset:
        missing = " and ".join(option for option, said in (("--base", base), ("--dataset", dataset)) if not said)
        raise UsageError(f"{path.name} was not trained on this machine", f"say {missing}")
    wanting = [] if known else [field for field in left_out if field not in given]
    if further and "network.start_from" in wanting:
        wanting.remove("network.start_from")
    if wanting:
        raise UsageError(
            f"{path.name} does not tell {', '.join(wanting)} of its training, and this machine does not know it",
            f"say what it was, or nothing: --set {wanting[0]}=",
        )
    if known:
        values = _completed(values, msgspec.to_builtins(known))
    recipe = from_values({**values, "base": base, "dataset": dataset}, path.name)
    if not further:
        return recipe
    network = msgspec.structs.replace(recipe.network, start_from=str(path.absolute()))
    return msgspec.structs.replace(recipe, network=network)


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


def _left_out(path: Path) -> list[str]:
    """The fields that the training had and that its file keeps back."""
    try:
        return msgspec.json.decode(_metadata(path).get(LEFT_OUT, "[]"), type=list[str])
    except msgspec.DecodeError:
        return []


def _own_training(registry: Registry, path: Path) -> Recipe | None:
    """The recipe, paths and all, of the newest training here that left the file at ``path``.

    That is the LoRA that it ended with, one of its epochs, or one that still lies in its folder.
    """
    sha256 = hash_file(path).sha256
    row = registry.db.execute("SELECT version_id FROM files WHERE sha256 = ?", (sha256,)).fetchone()
    version = row[0] if row else None
    run = next((run.id for run in runs(registry) if version in (run.id, *(e.version_id for e in run.epochs))), None)
    named = {"sha256": sha256, "run": run, "path": str(path.absolute())}
    for (request,) in registry.db.execute(_JOBS, named):
        try:
            return read_recipe(Path(msgspec.json.decode(request)["recipe"]))
        except (HubError, KeyError):
            continue
    return None


def _completed(values: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` as the file has them, with what only ``known`` has."""
    full = dict(known)
    for name, found in upgraded(values).items():
        section = full.get(name)
        full[name] = {**section, **found} if isinstance(section, dict) and isinstance(found, dict) else found
    return full
