"""A recipe's fields one by one, by their dotted names: what a list of properties, a command line or a comparison needs."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from hubman.train.recipe import FIELDS_HINT, Recipe
from hubman.train.recipe_toml import toml_value
from hubman.train.settings.section import Section, takes, types
from registry.errors import UsageError


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a recipe."""

    path: str
    """``network.rank``, or ``seed`` outside of the sections."""
    section: str
    """``network``; empty outside of the sections."""
    name: str
    kind: Any
    """Its type without range."""
    reason: str
    takes: str
    """Range or choices in words."""
    choices: tuple[Any, ...] = ()


@cache
def fields() -> Mapping[str, Field]:
    """Every field by its path, in the order of the recipe."""
    found = [_field("", name, kind) for name, kind in types(Recipe).items() if name != "version"]
    for section, kind in typing.get_type_hints(Recipe).items():
        if isinstance(kind, type) and issubclass(kind, Section):
            found += [_field(section, name, each) for name, each in types(kind).items()]
    return {field.path: field for field in found}


def value(recipe: Recipe, path: str) -> Any:
    """The value of a field. Raises UsageError for an unknown one."""
    field = _named(path)
    return getattr(getattr(recipe, field.section) if field.section else recipe, field.name)


def changed(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """``recipe`` with fields changed, by path, all at once. Raises UsageError by field for values that it does not take."""
    sections: dict[str, dict[str, Any]] = {}
    for path, new in values.items():
        field = _named(path)
        sections.setdefault(field.section, {})[field.name] = new
    own = sections.pop("", {})
    parts = {name: msgspec.structs.replace(getattr(recipe, name), **new) for name, new in sections.items()}
    return msgspec.structs.replace(recipe, **own, **parts)


def parse(path: str, text: str) -> Any:
    """The value that a person typed for a field. Raises UsageError that says what it takes."""
    field, text = _named(path), text.strip()
    if field.kind is bool:
        if text.lower() not in _YES | _NO:
            raise UsageError(f"{path} can't be {text!r}", "say yes or no")
        return text.lower() in _YES
    try:
        if _is_document(field.kind):
            return msgspec.convert(msgspec.toml.decode(f"value = {text}")["value"], field.kind, strict=False)
        given: object = _parts(text, field.kind) if typing.get_origin(field.kind) is tuple else text
        return msgspec.convert(given, field.kind, strict=False)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UsageError(f"{path} can't be {text!r}", f"it takes {field.takes or error}") from None


def text_of(recipe: Recipe, path: str) -> str:
    """A field's value as :func:`parse` reads it."""
    found, field = value(recipe, path), _named(path)
    if isinstance(found, bool):
        return "yes" if found else "no"
    if _is_document(field.kind):
        return toml_value(msgspec.to_builtins(found))
    if isinstance(found, tuple):
        return " | ".join(map(str, found))
    return _short(found) if isinstance(found, float) else str(found)


def differences(one: Recipe, other: Recipe) -> dict[str, tuple[Any, Any]]:
    """The fields in which two recipes differ, by path, with both values."""
    pairs = {path: (value(one, path), value(other, path)) for path in fields()}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def _short(number: float) -> str:
    """Six digits where they are all that there is."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


_YES, _NO = frozenset({"yes", "true", "on"}), frozenset({"no", "false", "off"})


def _field(section: str, name: str, kind: Any) -> Field:
    meta = next((each for each in getattr(kind, "__metadata__", ()) if isinstance(each, msgspec.Meta)), None)
    plain = typing.get_args(kind)[0] if meta else kind
    return Field(
        path=f"{section}.{name}" if section else name,
        section=section,
        name=name,
        kind=plain,
        reason=(meta.description or "") if meta else "",
        takes=takes(kind),
        choices=typing.get_args(plain) if typing.get_origin(plain) is typing.Literal else (),
    )


def _named(path: str) -> Field:
    try:
        return fields()[path]
    except KeyError:
        raise UsageError(f"a recipe has no field {path!r}", FIELDS_HINT) from None


def _is_document(kind: Any) -> bool:
    """Whether it can only be typed as TOML: tables, and lists of tables."""
    inner = next((each for each in typing.get_args(kind) if each is not Ellipsis), None)
    is_table = isinstance(inner, type) and issubclass(inner, msgspec.Struct)
    return typing.get_origin(kind) is dict or (typing.get_origin(kind) is tuple and is_table)


def _parts(text: str, kind: Any) -> list[str]:
    mark = "|" if typing.get_args(kind)[0] is str else None
    parts = text.replace("|", " ").replace(",", " ").split() if mark is None else text.split(mark)
    return [part.strip() for part in parts if part.strip()]
