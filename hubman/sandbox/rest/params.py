"""Reading query parameters as the site's schemas do, with their refusals."""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.datastructures import QueryParams

from hubman.civitai import contract
from hubman.civitai.wire import iso
from hubman.sandbox.rest.answers import RestError

LARGEST_ID = 2**31 - 1
_DAYS = {"Day": 1, "Week": 7, "Month": 30, "Year": 365}


def bad(name: str, message: str, code: str = "invalid_value") -> RestError:
    """A 400 with the issue as the site's validation words it."""
    issue = {"code": code, "path": [name], "message": message}
    return RestError(400, {"error": {"issues": [issue], "name": "ZodError"}})


def whole(text: str, name: str, low: int, high: int) -> int:
    """A whole number in a range."""
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise bad(name, f"Invalid input: expected {low} to {high}", "invalid_type")
    return int(text)


def number(query: QueryParams, name: str, default: int | None, low: int, high: int = LARGEST_ID) -> int | None:
    return whole(query[name], name, low, high) if query.get(name) else default


def numbers(query: QueryParams, name: str) -> list[int] | None:
    """A list with commas; None when the parameter is not there."""
    if not query.get(name):
        return None
    return [whole(part.strip(), name, 1, LARGEST_ID) for part in query[name].split(",")]


def choices(query: QueryParams, name: str, allowed: str) -> list[str]:
    """The values of a key that may be repeated; ``allowed`` is an enum of the contract. A comma list is no value."""
    values = query.getlist(name)
    for value in values:
        if value not in contract.enum_values(allowed):
            raise bad(name, f"Invalid option: {value[:100]}")
    return values


def choice(query: QueryParams, name: str, allowed: str, default: str = "") -> str:
    values = choices(query, name, allowed)
    if len(values) > 1:
        raise bad(name, "Invalid input: expected string, received array", "invalid_type")
    return values[0] if values else default


def loose(query: QueryParams, name: str) -> bool:
    """Any text but the empty one counts as true, even ``false``."""
    return bool(query.get(name))


def strict(query: QueryParams, name: str) -> bool:
    return query.get(name) == "true"


def since(now: datetime, period: str) -> str:
    """The start of a period such as ``Week``; empty for all time."""
    return iso(now - timedelta(days=_DAYS[period])) if period in _DAYS else ""
