"""A JSON object of which some keys are ours: theirs keep their bytes, their order and their layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

Raw = dict[str, msgspec.Raw]

_decode = msgspec.json.Decoder(Raw).decode


def parse(content: bytes) -> Raw:
    """The values of a JSON object as the bytes that they are written in. Raises :class:`ValueError` for anything else."""
    try:
        # The values too must be sound: a file that is half understood is not changed.
        msgspec.json.decode(content)
        return _decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def render(content: bytes | None, changed: Mapping[str, Any], *, indent: int) -> bytes:
    """``content`` with the values of ``changed`` set: in their place where they stand already, else at the end.

    ``content`` None makes a new object. ``indent`` 0 means one line; an object that is there keeps its own layout.
    """
    document: Raw = parse(content) if content is not None else {}
    if content is not None:
        indent = _indent_of(content)
    parts = {key: bytes(raw) for key, raw in document.items()}
    for key, value in changed.items():
        encoded = msgspec.json.encode(value)
        parts[key] = _nested(encoded, indent) if indent else encoded
    if not indent:
        return b"{" + b",".join(msgspec.json.encode(key) + b":" + part for key, part in parts.items()) + b"}"
    pad = b" " * indent
    lines = [pad + msgspec.json.encode(key) + b": " + part for key, part in parts.items()]
    return b"{\n" + b",\n".join(lines) + b"\n}"


def _nested(encoded: bytes, indent: int) -> bytes:
    return msgspec.json.format(encoded, indent=indent).replace(b"\n", b"\n" + b" " * indent)


def _indent_of(content: bytes) -> int:
    match = re.match(rb"\s*\{[ \t]*\r?\n([ \t]+)", content)
    return len(match[1].expandtabs(4)) if match else 0
