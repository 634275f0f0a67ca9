"""Paths that follow from what is known of a model, such as ``{base}/{creator}/{model}``.

A template is a path of folders; its last part names the file, whose ending is not part of it. One that ends in ``/``
leaves files their names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from registry.errors import UsageError
from registry.safe_name import safe_part

FIELDS = (
    "base",
    "type",
    "creator",
    "model",
    "version",
    "tag",
    "trigger",
    "rank",
    "yyyy",
    "hash8",
    "run",
    "name",
    "original",
)
"""``name`` is the file's present name without its ending, ``original`` the one under which it was first seen.

``model`` is the latter too where nobody named the model: called after its file, it would take in what a template adds
each time anew.
"""

UNKNOWN = "unknown"
_FIELD = re.compile(r"\{([^{}]*)\}")
_ALIASES = {"base_model": "base"}


def parts(template: str, fields: Collection[str] = FIELDS) -> list[str]:
    """The parts of a template; the last is the file's name. Raises :class:`UsageError` for one that makes no sense."""
    template = _FIELD.sub(lambda found: f"{{{_ALIASES.get(found[1], found[1])}}}", template)
    for name in _FIELD.findall(template):
        if name not in fields:
            near = get_close_matches(name, fields, 1, 0.5)
            hint = f"did you mean {{{near[0]}}}?" if near else f"fields are {', '.join(fields)}"
            raise UsageError(f"there is no field {{{name}}}", hint)
    if "{" in _FIELD.sub("", template) or "}" in _FIELD.sub("", template):
        raise UsageError(f"{template!r} has a bracket that is not closed", "write for example {base}/{creator}/{model}")
    found = [part.strip() for part in template.strip().split("/")]
    named = found if found[-1] else [*found[:-1], "{name}"]
    if not template.strip("/ ") or not all(named):
        raise UsageError(f"{template!r} is no path of folders", "write for example {base}/{creator}/{model}")
    return named


def fill(named: Sequence[str], values: Mapping[str, str]) -> tuple[list[str], str]:
    """Folders and the file's stem; what a value holds never makes a folder more, or a name that a system refuses."""
    *folders, stem = (safe_part(_FIELD.sub(lambda found: values[found[1]], part), fallback=UNKNOWN) for part in named)
    return folders, stem


def uses(named: Sequence[str], field: str) -> bool:
    return any(f"{{{field}}}" in part for part in named)
