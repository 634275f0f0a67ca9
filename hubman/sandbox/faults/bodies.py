"""Faults inside a JSON body."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from hubman.sandbox.faults import hostile
from hubman.sandbox.faults.rules import Rule

Json = Any
Change = Callable[[Json, Rule, random.Random, int], Json]
_OTHERS: tuple[Json, ...] = ("text", -1, 3.5, True, [], {}, ["text", None, 7], {"unexpected": {"deep": [1]}}, 2**80, "")
_ADDED: dict[str, Json] = {"newField": "later", "_v": 2, "nested": {"a": [1, {"b": None}]}, "flags2": [True, 1e300]}


def _each_object(value: Json, change: Callable[[dict[str, Json]], dict[str, Json]]) -> Json:
    """``value`` with ``change`` applied to every object in it, the inner ones first."""
    if isinstance(value, dict):
        return change({key: _each_object(item, change) for key, item in value.items()})
    if isinstance(value, list):
        return [_each_object(item, change) for item in value]
    return value


def _missing(value: Json, rule: Rule, chance: random.Random, _asked: int) -> Json:
    return _each_object(value, lambda fields: {k: v for k, v in fields.items() if chance.random() >= rule.size})


def _null(value: Json, rule: Rule, chance: random.Random, _asked: int) -> Json:
    return _each_object(value, lambda f: {k: None if chance.random() < rule.size else v for k, v in f.items()})


def _wrong_type(value: Json, rule: Rule, chance: random.Random, _asked: int) -> Json:
    def other(old: Json) -> Json:
        return chance.choice([new for new in _OTHERS if type(new) is not type(old)])

    return _each_object(value, lambda f: {k: other(v) if chance.random() < rule.size else v for k, v in f.items()})


def _added(value: Json, _rule: Rule, _chance: random.Random, _asked: int) -> Json:
    return _each_object(value, lambda fields: {**_ADDED, **fields})


def _hostile(value: Json, _rule: Rule, chance: random.Random, _asked: int) -> Json:
    def change(fields: dict[str, Json]) -> dict[str, Json]:
        return {key: _harm(key, item, chance) for key, item in fields.items()}

    return _each_object(value, change)


def _harm(key: str, value: Json, chance: random.Random) -> Json:
    if key in hostile.FIELDS and isinstance(value, str):
        return chance.choice(hostile.NAMES)
    if key in hostile.LISTS and isinstance(value, list):
        return [chance.choice(hostile.NAMES) if isinstance(item, str) else item for item in value]
    return value


def _wrong_hash(value: Json, _rule: Rule, _chance: random.Random, _asked: int) -> Json:
    def change(fields: dict[str, Json]) -> dict[str, Json]:
        told = fields.get("hashes")
        return {**fields, "hashes": {k: _turn(v) for k, v in told.items()}} if isinstance(told, dict) else fields

    return _each_object(value, change)


def _hash_changes(value: Json, rule: Rule, chance: random.Random, asked: int) -> Json:
    return _wrong_hash(value, rule, chance, asked) if asked == 1 else value


def _turn(digits: Json) -> Json:
    """Another hash of the same length: each digit is one more."""
    if not isinstance(digits, str):
        return digits
    return "".join("123456789ABCDEF0"[int(digit, 16)] if digit in "0123456789ABCDEF" else digit for digit in digits)


_CHANGES: dict[str, Change] = {
    "missing": _missing, "null": _null, "wrong-type": _wrong_type, "added": _added, "hostile": _hostile,
    "wrong-hash": _wrong_hash, "hash-changes": _hash_changes,
}  # fmt: skip
KINDS = frozenset(_CHANGES) | {"cut-json"}


def change(body: bytes, rule: Rule, chance: random.Random, asked: int) -> bytes:
    """The body with ``rule``'s fault in it; unchanged when it is no JSON or the fault finds nothing in it.

    ``asked`` is how often the path was asked for, this time included.
    """
    if rule.kind == "cut-json":
        return body[: chance.randrange(1, max(2, len(body)))]
    try:
        value = json.loads(body)
    except ValueError:
        return body
    changed = _CHANGES[rule.kind](value, rule, chance, asked)
    return body if changed == value else json.dumps(changed).encode()
