"""Decoding answers that may have fields missing, added, null or wrongly typed: logged and defaulted, never a crash.

What is logged are the names of fields and of types, never values: those may be anything, also secrets.
"""

from __future__ import annotations

import functools
import logging
import math
import re
import threading
import types
import typing
import unicodedata
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

_log = logging.getLogger(__name__)
_MISSING = object()

T = TypeVar("T", bound=msgspec.Struct)


def decode(record: type[T], raw: object, where: str = "") -> T:
    """``raw`` as a ``record``, field by field; every field of ``record`` must have a default.

    A value that does not fit its field is logged under ``where`` and left at the default; items of a list that do not
    fit are left out. So are numbers that no database holds: not finite, or past 63 bits. Texts lose control characters,
    which could otherwise drive a terminal.
    """
    where = where or record.__name__
    if not isinstance(raw, Mapping):
        _tell(f"{where}: expected an object, got {_kind(raw)}")
        return record()
    values: dict[str, Any] = {}
    fields = _fields(record)
    for name, field in fields.items():
        if raw.get(name) is None:
            continue
        value = _convert(field.type, raw[name], f"{where}.{name}")
        if value is not _MISSING:
            values[field.name] = value
    for name in raw.keys() - fields.keys():
        _tell_added(where, name)
    return record(**values)


@functools.cache
def _fields(record: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(record)}


def decode_list(record: type[T], raw: object, where: str = "") -> tuple[T, ...]:
    """The objects in ``raw`` as records; anything else in it is left out."""
    where = where or record.__name__
    if not isinstance(raw, list):
        if raw is not None:
            _tell(f"{where}: expected a list, got {_kind(raw)}")
        return ()
    return tuple(decode(record, item, where) for item in raw if isinstance(item, Mapping))


def clean_text(text: str) -> str:
    """Without control characters (line breaks and tabs stay) and without marks that reverse the reading direction."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or (unicodedata.category(c) not in {"Cc", "Cs"} and c not in _BIDI))


_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _convert(kind: object, raw: object, where: str) -> object:
    origin = typing.get_origin(kind)
    if origin in {types.UnionType, typing.Union}:
        # Optional fields only: the one type beside None.
        kind = next(part for part in typing.get_args(kind) if part is not types.NoneType)
        origin = typing.get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return decode(kind, raw, where) if isinstance(raw, Mapping) else _refuse(where, raw)
    if origin is tuple:
        return _convert_list(typing.get_args(kind)[0], raw, where)
    if origin is dict:
        return _clean(raw) if isinstance(raw, Mapping) else _refuse(where, raw)
    return _convert_text(raw, where) if kind is str else _convert_scalar(kind, raw, where)


def _convert_scalar(kind: object, raw: object, where: str) -> object:
    try:
        value = msgspec.convert(raw, typing.cast("type[object]", kind), strict=False)
    except (msgspec.ValidationError, ValueError, OverflowError, RecursionError):
        return _refuse(where, raw)
    return value if _is_storable(value) else _refuse(where, raw)


def _convert_list(kind: object, raw: object, where: str) -> object:
    if not isinstance(raw, list):
        return _refuse(where, raw)
    items = (_convert(kind, item, where) for item in raw if item is not None)
    return tuple(item for item in items if item is not _MISSING)


def _convert_text(raw: object, where: str) -> object:
    if isinstance(raw, str):
        return clean_text(raw)
    if isinstance(raw, (int, float)) and not isinstance(raw, bool) and _is_storable(raw):
        return str(raw)
    return _refuse(where, raw)


_DEEPEST = 32


def _clean(value: object, depth: int = 0) -> object:
    """Free-form content with clean texts; what lies deeper than 32 levels, or is no number to store, becomes None."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, (Mapping, list)) and depth >= _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {clean_text(str(key)): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    return value if _is_storable(value) else None


def _is_storable(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def _refuse(where: str, raw: object) -> object:
    _tell(f"{where}: unexpected {_kind(raw)}")
    return _MISSING


def _kind(raw: object) -> str:
    return "null" if raw is None else type(raw).__name__


_told: dict[str, None] = {}
_lock = threading.Lock()
_REMEMBERED = 1000
_PLAIN_NAME = re.compile(r"(?!.*[0-9a-fA-F]{16})[A-Za-z_][A-Za-z0-9_]{0,40}", re.ASCII)


def _tell(text: str, level: int = logging.WARNING) -> None:
    """Log once, not for each of a page of models; after a thousand other complaints it may be said again."""
    with _lock:
        if text in _told:
            return
        if len(_told) >= _REMEMBERED:
            del _told[next(iter(_told))]
        _told[text] = None
    _log.log(level, "%s", text)


def _tell_added(where: str, name: object) -> None:
    shown = name if isinstance(name, str) and _PLAIN_NAME.fullmatch(name) else "a field with a strange name"
    _tell(f"{where}: added {shown}", logging.DEBUG)
