"""A recipe as TOML with its reasons as comments: what a person reads and edits."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from hubman.train.settings.section import Section, takes, types

_SELF_EVIDENT = ("", "a whole number", "a number", "yes or no")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(recipe: Section) -> str:
    """Every field of ``recipe`` in the order of its type, a table for each section, a comment above each field."""
    lines = _lines(recipe)
    for name in recipe.__struct_fields__:
        value = getattr(recipe, name)
        if isinstance(value, Section):
            lines += ["", f"# {(type(value).__doc__ or '').splitlines()[0]}", f"[{name}]", *_lines(value)]
    return "\n".join(lines) + "\n"


def _lines(section: Section) -> list[str]:
    lines = []
    for name, kind in types(type(section)).items():
        meta = next((each for each in getattr(kind, "__metadata__", ()) if isinstance(each, msgspec.Meta)), None)
        said = "; ".join(
            part for part in ((meta.description or "") if meta else "", takes(kind)) if part not in _SELF_EVIDENT
        )
        if said:
            lines.append(f"# {said}")
        lines.append(f"{name} = {toml_value(msgspec.to_builtins(getattr(section, name)))}")
    return lines


def toml_value(value: Any) -> str:
    """``value`` in TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's; it leaves DEL alone, and lone surrogates cannot be written in UTF-8.
        return json.dumps(value.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{_key(name)} = {toml_value(item)}" for name, item in value.items() if item is not None)
        return "{" + ", ".join(pairs) + "}"
    return repr(value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml_value(name)
