"""What a person says of models: fields, tags, trash, of one or of many at once. Each call is one entry of the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from registry import edit_checks, fields, journal, library, previews, settled, timestamps, triggers
from registry.database import Registry
from registry.errors import UsageError
from registry.journal import Entry
from registry.records import ModelDetail, VersionRow
from registry.triggers import Trigger

Target = tuple[str, str]
"""(model, the version of it that fields of versions are written to)"""


class Planned(msgspec.Struct, frozen=True):
    """One field that an edit would change, as an editor shows it."""

    model: str
    name: str
    field: str
    before: str
    after: str


def newest_of(registry: Registry, models: Sequence[str]) -> list[Target]:
    """The models with their newest versions, each once; ids of models that are not there are left out."""
    return [(row.id, row.version_id) for row in library.model_rows(registry, models)]


def edit(registry: Registry, model: str, version_id: str, assignments: Mapping[str, str]) -> Entry | None:
    """As :func:`edit_all`, of one model and one version of it."""
    return edit_all(registry, [(model, version_id)], assignments)


def edit_all(registry: Registry, targets: Sequence[Target], assignments: Mapping[str, str]) -> Entry | None:
    """Apply ``field=value`` texts of a person to all targets; an empty value takes the edit back.

    Returns None where everything was so already. Raises :class:`UsageError` naming the first bad field, before
    anything is written.
    """
    parsed = {name: _parse(name, value) for name, value in assignments.items()}
    targets = _now(registry, targets)

    def act() -> None:
        edit_checks.check(registry, [(target, parsed) for target in targets])
        for model, version in targets:
            for name, value in parsed.items():
                _assign(registry, model if fields.level_of(name) == "model" else version, name, value)

    said = ", ".join(name.replace("_", " ") for name in assignments)
    label = f"{said} of {names_of(registry, [model for model, _ in targets])}"
    return journal.write(registry, "edit", label, _items(targets), act)


def edit_each(registry: Registry, rows: Sequence[tuple[Target, Mapping[str, str]]], label: str) -> Entry | None:
    """As :func:`edit_all`, with other texts for each target, all one entry of the journal. Raises as it does."""
    now = [(target, texts) for targeted, texts in rows for target in _now(registry, [targeted])]
    parsed = [(target, {name: _parse(name, value) for name, value in texts.items()}) for target, texts in now]

    def act() -> None:
        edit_checks.check(registry, parsed)
        for (model, version), values in parsed:
            for name, value in values.items():
                _assign(registry, model if fields.level_of(name) == "model" else version, name, value)

    return journal.write(registry, "import", label, _items([target for target, _ in now]), act)


def plan_edit(registry: Registry, targets: Sequence[Target], assignments: Mapping[str, str]) -> list[Planned]:
    """What :func:`edit_all` would change, field by field. Raises as it does, and :class:`NotFoundError`."""
    parsed = {name: _parse(name, value) for name, value in assignments.items()}
    edit_checks.check(registry, [(target, parsed) for target in _now(registry, targets)])
    found = []
    for model, version_id in _now(registry, targets):
        detail, version = library.show(registry, model), library.version(registry, version_id)
        for name, value in assignments.items():
            before = shown(name, detail, version)
            after = fields.shown(name, parsed[name]) if name in fields.FIELDS else value.strip()
            if before != after:
                found.append(Planned(detail.id, detail.name, name, before, after))
    return found


def tag(
    registry: Registry, models: Sequence[str], *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> Entry | None:
    """Add and remove tags of all models."""
    added, removed = list(add), list(remove)
    models = settled.models_of(registry.db, models)

    def act() -> None:
        for model in models:
            library.update_set(registry, model, "tags", add=added, remove=removed)

    return journal.write(registry, "tag", f"tags of {names_of(registry, models)}", models, act)


def plan_tags(
    registry: Registry, models: Sequence[str], *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> list[Planned]:
    """The models whose tags :func:`tag` would change."""
    found = []
    for row in library.model_rows(registry, models):
        after = sorted((set(row.tags) | set(add)) - (set(remove) - set(add)))
        if after != sorted(row.tags):
            found.append(Planned(row.id, row.name, "tags", ", ".join(sorted(row.tags)), ", ".join(after)))
    return found


def set_words(registry: Registry, version_id: str, said: Sequence[Trigger]) -> Entry | None:
    """Make these the trigger words of a version, with their groups."""

    def act() -> None:
        library.replace_set(registry, version_id, "trigger_words", [trigger.word for trigger in said])
        library.replace_set(registry, version_id, "trigger_groups", triggers.members_of(said))

    label = f"trigger words of {names_of(registry, [version_id])}"
    return journal.write(registry, "edit", label, [version_id], act)


def trash(registry: Registry, *models: str) -> Entry | None:
    """Put models into the trash: hidden from lists on every machine, their files untouched."""
    now = settled.models_of(registry.db, models)
    return _set_all(registry, "trash", "{} put into the trash", now, {"deleted_at": timestamps.now()})


def restore(registry: Registry, *models: str) -> Entry | None:
    """Take models out of the trash."""
    now = settled.models_of(registry.db, models)
    return _set_all(registry, "restore", "{} taken out of the trash", now, {"deleted_at": None})


def say(registry: Registry, item: str, facts: Mapping[str, object]) -> Entry | None:
    """Make values that were found or measured a person's own word on one item."""
    names = ", ".join(name.replace("_", " ") for name in facts)
    return _set_all(registry, "edit", f"{names} of {{}}", [item], facts)


def assign(registry: Registry, item: str, name: str, value: Any) -> None:
    """Make ``value`` a person's word: of a fact, a set (all its members) or a text. Call inside ``journal.write``."""
    if name in fields.TEXTS:
        library.write_text(registry, item, name, value or "")
    elif name in fields.SETS:
        library.replace_set(registry, item, name, value or [])
    else:
        library.set_facts(registry, item, "user", {name: value})


def show_first(registry: Registry, version_id: str, image: Path) -> Entry | None:
    """Make a picture the preview of a version. Raises as :func:`registry.previews.add_preview` does."""

    def act() -> None:
        previews.choose_cover(registry, version_id, previews.add_preview(registry, version_id, image))

    return journal.write(registry, "preview", f"preview of {names_of(registry, [version_id])}", [version_id], act)


def set_picture_level(registry: Registry, version_id: str, sha256: str, level: int | None) -> Entry | None:
    """Say the browsing level of a picture; None takes it back. Raises as :func:`registry.previews.set_level` does."""
    label = f"level of a picture of {names_of(registry, [version_id])}"
    act = partial(previews.set_level, registry, version_id, sha256, level)
    return journal.write(registry, "preview", label, [version_id], act)


def _set_all(
    registry: Registry, verb: str, label: str, items: Sequence[str], facts: Mapping[str, object]
) -> Entry | None:
    def act() -> None:
        for item in items:
            library.set_facts(registry, item, "user", facts)

    return journal.write(registry, verb, label.format(names_of(registry, items)), items, act)


def names_of(registry: Registry, items: Sequence[str]) -> str:
    """One model (or version) by its model's name, several by their number."""
    if len(items) != 1:
        return f"{len(items)} models"
    item = settled.version_of(registry.db, items[0])
    sql = "SELECT name FROM models WHERE id = :item OR id = (SELECT model_id FROM versions WHERE id = :item) LIMIT 1"
    row = registry.db.execute(sql, {"item": item}).fetchone()
    return str(row[0]) if row else items[0]


def _now(registry: Registry, targets: Sequence[Target]) -> list[Target]:
    """``targets`` as they are now, each once."""
    now = settled.now_of(registry.db, [item for target in targets for item in target])
    found = [(now.get(model, (model, ""))[0], now.get(version, ("", version))[1]) for model, version in targets]
    return list(dict.fromkeys(found))


def _items(targets: Sequence[Target]) -> list[str]:
    return list(dict.fromkeys(item for target in targets for item in target))


def _assign(registry: Registry, item: str, name: str, value: Any) -> None:
    if name == "trigger_groups":
        library.replace_set(registry, item, name, triggers.members_of(value))
        library.update_set(registry, item, "trigger_words", add=[trigger.word for trigger in value])
    else:
        assign(registry, item, name, value)


def _parse(name: str, text: str) -> Any:
    if name not in fields.editable_names():
        raise UsageError(f"there is no field {name}", f"use one of {', '.join(fields.editable_names())}")
    if name in fields.TEXTS:
        return text
    if name == "trigger_groups":
        return triggers.parse(text)
    if name in fields.SETS:
        return [word.strip() for word in text.split(",") if word.strip()]
    return fields.parse(fields.FIELDS[name], text)


def shown(name: str, model: ModelDetail, version: VersionRow) -> str:
    """A field as an editor shows it, and as :func:`edit` takes it."""
    attribute = {"version_name": "name"}.get(name, name)
    value = getattr(model if fields.level_of(name) == "model" else version, attribute)
    if value is None:
        return ""
    if name == "trigger_groups":
        return triggers.shown(value)
    return ", ".join(value) if isinstance(value, tuple) else fields.shown(name, value)
