"""What a person types into the publish form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import msgspec

from hubman.civitai import describe, form_fields
from hubman.civitai.form import TEMPLATE, YOU, FormPicture, PublishForm, VersionPart
from hubman.civitai.form_fields import FIELDS
from registry.errors import UsageError

_OF_PART = {"version_name": "name", "version_description": "description"}
"""Fields of a version that are called otherwise there: the model has a field of that name too."""


def changed(form: PublishForm, assignments: Mapping[str, str], *, now: datetime | None = None) -> PublishForm:
    """The form with fields as they were typed, whose source is ``you`` then.

    A field of a version counts for all of them; ``2.strength`` is that of the second only. Raises
    :class:`UsageError` for an unknown field or a value that it can't have.
    """
    for name, text in assignments.items():
        number, dot, field = name.rpartition(".")
        _known(field)
        value = form_fields.parse(field, text, now=now)
        form = _assigned(form, field, value, _numbers(form, field, number) if dot else None)
    return refreshed(form)


def refreshed(form: PublishForm) -> PublishForm:
    """The form with its description made anew where it follows the template."""
    if form.source("description") != TEMPLATE:
        return form
    return msgspec.structs.replace(form, description=describe.from_template(form))


def value_of(form: PublishForm, name: str) -> Any:
    """The value of a field; of a version's the first version's, ``2.strength`` the second's."""
    number, _, field = name.rpartition(".")
    _known(field)
    level = FIELDS[field].level
    if level == "permission":
        return getattr(form.permissions, field)
    if level == "model":
        return getattr(form, field)
    part = form.parts[_numbers(form, field, number)[0] if number else 0]
    if field == "pictures":
        return tuple(f"{picture.sha256[:12]} {picture.caption}".strip() for picture in part.pictures)
    return getattr(part, _OF_PART.get(field, field))


def text_of(form: PublishForm, name: str) -> str:
    """A field's value as a person may type it again."""
    return form_fields.shown(name, value_of(form, name))


def source_of(form: PublishForm, name: str) -> str:
    """Where a field's value comes from, such as ``library``, ``training`` or ``you``."""
    number, _, field = name.rpartition(".")
    if FIELDS[field].level != "version":
        return form.sources.get(field, "")
    return form.parts[_numbers(form, field, number)[0] if number else 0].sources.get(field, "")


def _known(field: str) -> None:
    if field not in FIELDS:
        near = get_close_matches(field, FIELDS, 1)
        raise UsageError(f"the form has no field {field}", f"did you mean {near[0]}?" if near else "see its fields")


def _numbers(form: PublishForm, field: str, number: str) -> list[int]:
    if FIELDS[field].level != "version":
        raise UsageError(f"{field} belongs to the model, not to one version", f"say {field} without a number")
    if not number.isdecimal() or not 1 <= int(number) <= len(form.parts):
        raise UsageError(f"there is no version {number}", f"give a number from 1 to {len(form.parts)}")
    return [int(number) - 1]


def _assigned(form: PublishForm, field: str, value: Any, numbers: list[int] | None) -> PublishForm:
    level = FIELDS[field].level
    if level == "version":
        if field == "version_name" and numbers is None and len(form.parts) > 1:
            raise UsageError("every version needs a name of its own", "say 1.version_name, 2.version_name and so on")
        chosen = range(len(form.parts)) if numbers is None else numbers
        parts = [_of_part(part, field, value) if i in chosen else part for i, part in enumerate(form.parts)]
        return msgspec.structs.replace(form, parts=tuple(parts))
    changes: dict[str, Any] = {"sources": {**form.sources, field: YOU}}
    if level == "permission":
        changes["permissions"] = msgspec.structs.replace(form.permissions, **{field: value})
    elif field == "description" and not value:
        # Emptied, it is the template's again.
        changes["sources"] = {**form.sources, field: TEMPLATE}
    else:
        changes[field] = value
    return msgspec.structs.replace(form, **changes)


def _of_part(part: VersionPart, field: str, value: Any) -> VersionPart:
    if field == "pictures":
        value = _chosen(part, value)
    changes = {_OF_PART.get(field, field): value, "sources": {**part.sources, field: YOU}}
    return msgspec.structs.replace(part, **changes)


def _chosen(part: VersionPart, wanted: tuple[str, ...]) -> tuple[FormPicture, ...]:
    chosen = []
    for told in wanted:
        start, _, caption = told.partition(" ")
        found = [picture for picture in part.offered if picture.sha256.startswith(start.lower())]
        if len(found) != 1:
            problem = "no picture" if not found else "more than one picture"
            raise UsageError(f"{problem} begins with {start}", "hubman publish REF --check shows what it has")
        chosen += [msgspec.structs.replace(one, caption=caption.strip() or one.caption) for one in found]
    return tuple(chosen)
