"""tRPC as the server sees it: reading superjson, writing superjson or devalue."""

from __future__ import annotations

import json
import math
from typing import Any

from hubman.civitai.wire import Json

DATE_KEYS = frozenset({"createdAt", "updatedAt", "publishedAt", "initialPublishedAt", "scannedAt"})
"""Documents hold dates as ISO strings; under these names they are written as dates."""


class Undefined:
    """The answer of a procedure that returns nothing."""


UNDEFINED = Undefined()


class DateText(str):
    """An ISO string that the request marked as a date."""

    __slots__ = ()


def read_superjson(body: Json) -> Json:
    """The value inside an envelope, with marked dates as :class:`DateText`; :data:`UNDEFINED` without an envelope."""
    if not isinstance(body, dict) or "json" not in body:
        return UNDEFINED
    value = body["json"]
    marks = (body.get("meta") or {}).get("values") or {} if isinstance(body.get("meta"), dict) else {}
    for path, kinds in marks.items() if isinstance(marks, dict) else ():
        if kinds == ["Date"]:
            _mark(value, path.split("."))
    return value


def _mark(value: Json, steps: list[str]) -> None:
    for step in steps[:-1]:
        value = _child(value, step)
    key: Any = int(steps[-1]) if isinstance(value, list) and steps[-1].isdigit() else steps[-1]
    found = _child(value, steps[-1])
    if isinstance(found, str):
        value[key] = DateText(found)


def _child(value: Json, step: str) -> Json:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isdigit() and int(step) < len(value):
        return value[int(step)]
    return None


def encode(value: Json, *, devalue: bool) -> Json:
    """``value`` as the content of ``result.data`` or ``error``."""
    return write_devalue(value) if devalue else write_superjson(value)


def write_superjson(value: Json) -> Json:
    if isinstance(value, Undefined):
        return {"json": None, "meta": {"values": ["undefined"], "v": 1}}
    marks: dict[str, list[str]] = {}
    _find_dates(value, "", marks)
    return {"json": value, "meta": {"values": marks, "v": 1}} if marks else {"json": value}


def _find_dates(value: Json, path: str, marks: dict[str, list[str]]) -> None:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        here = f"{path}.{key}" if path else str(key)
        if key in DATE_KEYS and isinstance(item, str):
            marks[here] = ["Date"]
        _find_dates(item, here, marks)


def write_devalue(value: Json) -> str:
    """The flat form: slots that refer to each other by number, equal scalars shared."""
    if isinstance(value, Undefined):
        return "-1"
    slots: list[Json] = []
    seen: dict[str, int] = {}
    root = _flatten(value, slots, seen, date=False)
    return json.dumps(slots) if root >= 0 else str(root)


def _flatten(value: Json, slots: list[Json], seen: dict[str, int], *, date: bool) -> int:
    if isinstance(value, Undefined):
        return -1
    if isinstance(value, float) and math.isnan(value):
        return -3
    if not isinstance(value, (dict, list)):
        key = json.dumps([date, value])
        if key not in seen:
            seen[key] = len(slots)
            slots.append(["Date", value] if date else value)
        return seen[key]
    index = len(slots)
    slots.append(None)
    if isinstance(value, dict):
        slots[index] = {
            name: _flatten(item, slots, seen, date=name in DATE_KEYS and isinstance(item, str))
            for name, item in value.items()
        }
    else:
        slots[index] = [_flatten(item, slots, seen, date=False) for item in value]
    return index
