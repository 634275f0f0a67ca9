"""A recipe as lines to edit: built from a preset, changed by a person, written and started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubman import bases
from hubman.train import presets, recipe_fields
from hubman.train.recipe import Kind, Recipe

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from registry.database import Registry

_OWN = frozenset(("base", "dataset", "output", "trigger", "kind", "family"))
"""Fields that no preset sets."""
_HIDDEN = frozenset(("dataset", "family"))
"""The folder that is shown beside the recipe, and what was found in the base's file."""
_FIRST = "what"


@dataclass(frozen=True)
class Draft:
    """A recipe with what the person chose, which a new preset keeps."""

    recipe: Recipe
    images: int
    base: str = bases.EMBEDDED
    edited: Mapping[str, Any] = field(default_factory=dict)
    """Values by the field's dotted name."""


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
    recipe = recipe_fields.changed(recipe, {"trigger": old.trigger, **before.edited})
    return Draft(recipe, before.images, base, before.edited)


def from_recipe(recipe: Recipe, images: int) -> Draft:
    """A draft of a recipe that was read from a file: all its values count as chosen."""
    kept = {path: recipe_fields.value(recipe, path) for path in recipe_fields.fields() if path not in _OWN}
    return Draft(recipe, images, recipe.base, kept)


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
    edited = draft.edited if path in _OWN else {**draft.edited, path: value}
    return Draft(recipe, draft.images, draft.base, edited)


def reason(path: str) -> str:
    """Why a field's value is as it is, and what it takes."""
    known = recipe_fields.fields().get(path)
    return f"{known.reason} ({known.takes})" if known and known.takes else known.reason if known else ""


def start(registry: Registry, recipe: Recipe, *, force: bool) -> Job:
    """Start a training; ``force`` in spite of what the checks call errors."""
    from hubman.train import start as starting

    return starting.start(registry, recipe, force=force)
