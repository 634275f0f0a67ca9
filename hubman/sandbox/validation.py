"""Refusing what the site's own schemas refuse, with the same kind of message."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from hubman.civitai import contract
from hubman.civitai.wire import Json
from hubman.sandbox.encoding import DateText, Undefined

_OPEN = frozenset({"meta", "metadata"})
_TYPES = {
    "str": "string", "int": "number", "float": "number", "bool": "boolean", "dict": "object", "list": "array",
    "NoneType": "null", "DateText": "date",
}  # fmt: skip


class InvalidInputError(Exception):
    """Input that breaks the schema; the text is a JSON list of issues."""

    def __init__(self, issues: list[dict[str, Any]]) -> None:
        super().__init__(json.dumps(issues))


class FractionError(Exception):
    """A fraction where the database wants an integer: passes the site's schema, then fails inside (500)."""


@functools.cache
def _validator(name: str) -> Draft202012Validator:
    found = contract.endpoint(name)
    return Draft202012Validator(found.input_schema if found else {})


def check(name: str, value: Json) -> dict[str, Any]:
    """The input of the call ``name`` without unknown keys and with defaults.

    Raises :class:`InvalidInputError` or :class:`FractionError`.
    """
    found = contract.endpoint(name)
    schema: dict[str, Any] = _branch(found.input_schema if found else {}, value)
    if isinstance(value, Undefined):
        if not schema:
            return {}
        raise InvalidInputError([_issue("object", [], "undefined")])
    issues = _bad_dates(schema, value)
    for error in sorted(
        _validator(name).iter_errors(value), key=lambda error: [str(step) for step in error.absolute_path]
    ):
        issues.append(_translate(error))
    if issues:
        raise InvalidInputError(issues)
    pruned = _prune(schema, value)
    return {**_defaults(schema), **pruned} if isinstance(pruned, dict) else {"value": pruned}


def unknown_keys(name: str, value: Json) -> list[str]:
    """The keys of ``value``, at any depth, that the site's schema for the call ``name`` does not have."""
    found = contract.endpoint(name)
    return list(_strangers(found.input_schema if found else {}, value, ""))


def _strangers(schema: dict[str, Any], value: Json, path: str) -> Iterator[str]:
    schema = _branch(schema, value)
    if isinstance(value, list):
        for item in value:
            yield from _strangers(schema.get("items", {}), item, path)
    known = schema.get("properties")
    if isinstance(value, dict) and known:
        for key, item in value.items():
            if key not in known:
                yield f"{path}{key}"
            elif key not in _OPEN:
                yield from _strangers(known[key], item, f"{path}{key}.")


def _translate(error: ValidationError) -> dict[str, Any]:
    inner = best_match(error.context or [error]) or error
    path, rule = list(inner.absolute_path), cast("Json", inner.validator_value)
    if inner.validator in {"type", "anyOf"}:
        expected = rule if isinstance(rule, str) else "union"
        if expected == "integer":
            if isinstance(inner.instance, float):
                raise FractionError
            expected = "number"
        return _issue(expected, path, _TYPES.get(type(inner.instance).__name__, "unknown"))
    if inner.validator == "required":
        missing = next(key for key in rule if inner.message.startswith(repr(key)))
        wanted = cast("Json", inner.schema).get("properties", {}).get(missing, {}).get("type", "nonoptional")
        return _issue("number" if wanted == "integer" else wanted, [*path, missing], "undefined")
    if inner.validator == "enum":
        options = "|".join(json.dumps(option) for option in rule)
        return {
            "code": "invalid_value",
            "values": rule,
            "path": path,
            "message": f"Invalid option: expected one of {options}",
        }
    code = {"minimum": "too_small", "minLength": "too_small", "minItems": "too_small", "pattern": "invalid_format"}
    return {
        "code": code.get(str(inner.validator), "too_big"),
        "path": path,
        "message": f"Invalid input: {inner.message[:200]}",
    }


def _issue(expected: Json, path: list[Any], received: str) -> dict[str, Any]:
    message = f"Invalid input: expected {expected}, received {received}"
    return {"code": "invalid_type", "expected": expected, "path": path, "message": message}


def _bad_dates(schema: dict[str, Any], value: Json) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        return []
    issues = []
    for key, part in schema.get("properties", {}).items():
        dated = any(branch.get("x-superjson") == "Date" for branch in [part, *part.get("anyOf", [])])
        given = value.get(key)
        if not dated or given is None:
            continue
        if not isinstance(given, DateText):
            issues.append(_issue("date", [key], _TYPES.get(type(given).__name__, "unknown")))
        elif not _is_date(given):
            issues.append(_issue("date", [key], "Invalid Date"))
    return issues


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _branch(schema: dict[str, Any], value: Json) -> dict[str, Any]:
    """Of a union of objects, the one that fits best: ``modelFile.upsert`` is an update when it has an id."""
    branches = [part for part in schema.get("anyOf", []) if "properties" in part]
    if not branches or not isinstance(value, dict):
        return schema
    fits: dict[str, Any] = max(branches, key=lambda part: sum(key in value for key in part.get("required", ())))
    return fits


def _prune(schema: dict[str, Any], value: Json) -> Json:
    schema = _branch(schema, value)
    if isinstance(value, list):
        return [_prune(schema.get("items", {}), item) for item in value]
    known = schema.get("properties")
    if not isinstance(value, dict) or not known:
        return value
    return {key: item if key in _OPEN else _prune(known[key], item) for key, item in value.items() if key in known}


def _defaults(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: part["default"] for key, part in schema.get("properties", {}).items() if "default" in part}
