"""Change the library, and know how to take it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from registry import fields, library
from tui.services.undo import Change

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.records import ModelDetail, VersionRow


def edit(registry: Registry, model: str, version_id: str, assignments: Mapping[str, str]) -> Change:
    """Apply ``assignments`` (see ``library.edit``) and return how to restore what a person had said before."""
    before = library.show(registry, model)
    version = next(version for version in before.versions if version.id == version_id)
    inverse = {name: _said_by_user(name, before, version) for name in assignments}
    library.edit(registry, model, version_id, assignments)
    names = ", ".join(name.replace("_", " ") for name in assignments)
    return Change(f"{names} of {before.name}", lambda again: library.edit(again, model, version_id, inverse))


def _said_by_user(name: str, model: ModelDetail, version: VersionRow) -> str:
    """The text that ``library.edit`` takes to bring back a field: empty where the person had said nothing."""
    of_model = (fields.FIELDS[name].of if name in fields.FIELDS else {**fields.TEXTS, **fields.SETS}[name]) == "model"
    value = shown(name, model, version)
    if name in fields.TEXTS or name in fields.SETS:
        return value
    sources = model.sources if of_model else version.sources
    return value if sources.get(name) == "user" else ""


def shown(name: str, model: ModelDetail, version: VersionRow) -> str:
    """A field as an editor shows it."""
    attribute = {"version_name": "name"}.get(name, name)
    of_version = name not in {"tags", "notes", "description"} and (
        name in {"trigger_words", "changelog"} or fields.FIELDS[name].of == "version"
    )
    value = getattr(version if of_version else model, attribute)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def trash(registry: Registry, models: Sequence[str], label: str) -> Change:
    """Put models into the trash together; undone together."""
    _each(registry, library.trash, models)
    return Change(label, lambda again: _each(again, library.restore, models))


def restore(registry: Registry, models: Sequence[str], label: str) -> Change:
    """Take models out of the trash together; undone together."""
    _each(registry, library.restore, models)
    return Change(label, lambda again: _each(again, library.trash, models))


def _each(registry: Registry, change: Callable[[Registry, str], None], models: Sequence[str]) -> None:
    with registry.transaction():
        for model in models:
            change(registry, model)
