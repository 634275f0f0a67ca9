"""Decoding answers that may have fields missing, added, null or wrongly typed: logged and defaulted, never a crash."""

from __future__ import annotations

import logging
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
    fit are left out. Texts lose control characters, which could otherwise drive a terminal.
    """
    where = where or record.__name__
    if not isinstance(raw, Mapping):
        _log.warning("%s: expected an object, got %s", where, type(raw).__name__)
        return record()
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(record):
        if raw.get(field.encode_name) is None:
            continue
        value = _convert(field.type, raw[field.encode_name], f"{where}.{field.encode_name}")
        if value is not _MISSING:
            values[field.name] = value
    return record(**values)


def decode_list(record: type[T], raw: object, where: str = "") -> tuple[T, ...]:
    """The objects in ``raw`` as records; anything else in it is left out."""
    where = where or record.__name__
    if not isinstance(raw, list):
        if raw is not None:
            _log.warning("%s: expected a list, got %s", where, type(raw).__name__)
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
        return msgspec.convert(raw, typing.cast("type[object]", kind), strict=False)
    except (msgspec.ValidationError, OverflowError):
        return _refuse(where, raw)


def _convert_list(kind: object, raw: object, where: str) -> object:
    if not isinstance(raw, list):
        return _refuse(where, raw)
    items = (_convert(kind, item, where) for item in raw if item is not None)
    return tuple(item for item in items if item is not _MISSING)


def _convert_text(raw: object, where: str) -> object:
    if isinstance(raw, str):
        return clean_text(raw)
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return str(raw)
    return _refuse(where, raw)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_text(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value


def _refuse(where: str, raw: object) -> object:
    _log.warning("%s: unexpected %s", where, type(raw).__name__)
    return _MISSING
