"""A recipe as lines to edit: built from a preset, changed by a person, written and started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubman import bases
from hubman.train import presets, recipe_fields
from hubman.train.recipe import Kind, Recipe
from registry.errors import HubError

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from hubman.train.clashes import Clash
    from registry.database import Registry

_OWN = frozenset(("base", "dataset", "output", "trigger", "kind", "family"))
"""Fields that no preset sets."""
_HIDDEN = frozenset(("dataset", "family"))
"""The folder that is shown beside the recipe, and what was found in the base's file."""
_FIRST = "what"

KINDS: Mapping[Kind, str] = {
    "style": "how things are drawn; needs the largest rank",
    "character": "one person or figure that its trigger word calls",
    "concept": "a thing, a pose, clothing, a composition",
}


@dataclass(frozen=True)
class Draft:
    """A recipe with what the person chose, which a new preset keeps."""

    recipe: Recipe
    images: int
    base: str = bases.EMBEDDED
    edited: Mapping[str, Any] = field(default_factory=dict)
    """Values by the field's dotted name."""
    preset: Recipe | None = None
    """What it started from; None where its family has no preset."""


def groups() -> Mapping[str, tuple[str, ...]]:
    """The fields to show, by section, in the recipe's order."""
    found: dict[str, tuple[str, ...]] = {}
    for path, each in recipe_fields.fields().items():
        if path not in _HIDDEN:
            name = each.section or _FIRST
            found[name] = (*found.get(name, ()), path)
    return found


def draft(dataset: Path, images: int, *, base: str = bases.EMBEDDED, kind: Kind = "style") -> Draft:
    """A draft for a folder with so many images. Raises ``UsageError`` or ``NotFoundError`` for the base."""
    return _preset(Draft(Recipe(base="", dataset=str(dataset), output=_name(dataset)), images, base), base, kind)


def _name(dataset: Path) -> str:
    clean = "".join(letter for letter in dataset.name if letter not in '/\\:*?"<>|').strip(". ")
    return clean[:60] or "lora"


def _preset(before: Draft, base: str, kind: Kind) -> Draft:
    path = bases.find(base)
    old = before.recipe
    recipe = presets.preset(
        kind, bases.family(path), before.images, base=str(path), dataset=old.dataset, output=old.output
    )
    preset = recipe_fields.changed(recipe, {"trigger": old.trigger})
    return Draft(recipe_fields.changed(preset, before.edited), before.images, base, before.edited, preset)


def from_recipe(recipe: Recipe, images: int) -> Draft:
    """A draft of a recipe that was written down: what differs from its preset counts as chosen."""
    try:
        preset = presets.preset(
            recipe.kind, recipe.family, images, base=recipe.base, dataset=recipe.dataset, output=recipe.output
        )
    except HubError:
        known = {path: recipe_fields.value(recipe, path) for path in recipe_fields.fields() if path not in _OWN}
        return Draft(recipe, images, recipe.base, known)
    differing = recipe_fields.differences(recipe, preset)
    chosen = {path: value for path, (value, _) in differing.items() if path not in _OWN}
    return Draft(recipe, images, recipe.base, chosen, recipe_fields.changed(preset, {"trigger": recipe.trigger}))


def with_images(before: Draft, images: int) -> Draft:
    """The draft for another number of images: the preset's length follows it, what was chosen stays."""
    if images == before.images or before.preset is None:
        return replace(before, images=images)
    old = before.preset
    preset = presets.preset(
        old.kind, old.family, images, base=old.base, dataset=old.dataset, output=before.recipe.output
    )
    preset = recipe_fields.changed(preset, {"trigger": before.recipe.trigger})
    return replace(before, images=images, preset=preset, recipe=recipe_fields.changed(preset, before.edited))


def text_of(draft: Draft, path: str) -> str:
    """The value of a field as it is shown and typed."""
    return draft.base if path == "base" else recipe_fields.text_of(draft.recipe, path)


def assign(draft: Draft, path: str, text: str) -> Draft:
    """The draft with one field changed. Raises ``UsageError`` that says what the field takes."""
    value = recipe_fields.parse(path, text)
    if path == "kind":
        return _preset(draft, draft.base, value)
    if path == "base":
        return _preset(draft, value, draft.recipe.kind)
    recipe = recipe_fields.changed(draft.recipe, {path: value})
    if path in _OWN:
        preset = draft.preset and recipe_fields.changed(draft.preset, {path: value})
        return replace(draft, recipe=recipe, preset=preset)
    return replace(draft, recipe=recipe, edited={**draft.edited, path: value})


def toggled(draft: Draft, path: str) -> Draft:
    """The draft with a field turned over that is yes or no."""
    return assign(draft, path, "no" if recipe_fields.value(draft.recipe, path) else "yes")


def reset(draft: Draft, path: str) -> Draft:
    """The draft with the preset's value of a field. Raises ``UsageError`` where that clashes with another one."""
    if draft.preset is None or path in _OWN:
        return draft
    value = recipe_fields.value(draft.preset, path)
    edited = {name: kept for name, kept in draft.edited.items() if name != path}
    return replace(draft, recipe=recipe_fields.changed(draft.recipe, {path: value}), edited=edited)


def is_changed(draft: Draft, path: str) -> bool:
    """Whether a person's value stands in place of the preset's."""
    if path not in draft.edited:
        return False
    return draft.preset is None or recipe_fields.value(draft.preset, path) != draft.edited[path]


def is_flag(path: str) -> bool:
    """Whether a field is yes or no."""
    return recipe_fields.fields()[path].kind is bool


def choices(path: str) -> tuple[str, ...]:
    """What a field can be, where that is a short list."""
    return tuple(str(choice) for choice in recipe_fields.fields()[path].choices)


def title(path: str) -> str:
    """``network.conv_rank`` as ``conv rank``."""
    return path.rpartition(".")[2].replace("_", " ")


def reason(path: str) -> str:
    """Why a field's value is as it is."""
    known = recipe_fields.fields().get(path)
    return known.reason if known else ""


def takes(draft: Draft, path: str) -> str:
    """What a field takes, and what the preset has where that is something else."""
    known = recipe_fields.fields().get(path)
    if known is None:
        return ""
    parts = [known.takes] if known.takes else []
    if draft.preset is not None and is_changed(draft, path):
        parts.append(f"preset: {recipe_fields.text_of(draft.preset, path) or 'nothing'}")
    return "; ".join(parts)


def preset_text(draft: Draft, path: str) -> str | None:
    """The preset's value of a field."""
    return recipe_fields.text_of(draft.preset, path) if draft.preset is not None else None


def clashes(recipe: Recipe) -> tuple[Clash, ...]:
    """The values that contradict each other."""
    from hubman.train.clashes import clashes as found

    return found(recipe)


def start(registry: Registry, draft: Draft, *, force: bool) -> Job:
    """Start a training, and remember with what; ``force`` in spite of what the checks call errors."""
    from hubman.train import recent
    from hubman.train import start as starting

    recipe = draft.recipe
    job = starting.start(registry, recipe, force=force)
    recent.remember(registry.home, dataset=Path(recipe.dataset), base=draft.base, kind=recipe.kind)
    return job
