"""What the sections of a recipe share: values are checked whenever a record is made, not only when one is read."""

from __future__ import annotations

import math
import typing
from functools import cache
from typing import Any

import msgspec

from registry.errors import UsageError


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a recipe. Making one raises UsageError that names the field and what it takes."""

    def __post_init__(self) -> None:
        for name, kind in types(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"recipe: {name} is {value}", "give an ordinary number")
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError as error:
                raise UsageError(f"recipe: {name} is {value!r}", f"it takes {takes(kind) or error}") from None


@cache
def types(section: type[msgspec.Struct]) -> dict[str, Any]:
    """The type of each field, with its :class:`msgspec.Meta`; sections inside a section are left to themselves."""
    hints = typing.get_type_hints(section, include_extras=True)
    names = (field.name for field in msgspec.structs.fields(section))
    return {name: hints[name] for name in names if not _is_section(hints[name])}


def takes(kind: Any) -> str:
    """What a field of type ``kind`` takes, in words; empty where only the field itself can say it."""
    meta = next((each for each in getattr(kind, "__metadata__", ()) if isinstance(each, msgspec.Meta)), None)
    plain = typing.get_args(kind)[0] if meta else kind
    if typing.get_origin(plain) is typing.Literal:
        return f"one of {', '.join(str(choice) or 'nothing' for choice in typing.get_args(plain))}"
    word = {int: "a whole number", float: "a number", bool: "yes or no"}.get(plain, "")
    low = next((each for each in (meta.ge, meta.gt) if each is not None), None) if meta else None
    high = next((each for each in (meta.le, meta.lt) if each is not None), None) if meta else None
    if low is None or high is None or not word:
        return word
    return f"{word} between {_short(low)} and {_short(high)}"


def _short(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)
