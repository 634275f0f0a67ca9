"""tRPC's two encodings: requests in superjson, answers in superjson or devalue, whichever the site chose.

superjson puts the plain value under ``json`` and the paths of what JSON can't say under ``meta.values``; devalue is a
string holding a flat array of slots. Both are described in Civitai's contract, sections 6.1 to 6.4.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec

from hubman.civitai.errors import flatten

Json: TypeAlias = Any
"""Whatever JSON can hold, not looked at yet."""


class TrpcAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded answer: ``data`` on success, or the error's ``message`` and ``code`` (such as ``BAD_REQUEST``)."""

    data: Json = None
    failed: bool = False
    message: str = ""
    code: str = ""


class WireError(ValueError):
    """The body is not an answer of tRPC."""


def iso(moment: datetime) -> str:
    """As JavaScript writes dates: UTC with milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def envelope(value: Mapping[str, Any]) -> dict[str, Any]:
    """``value`` as a superjson envelope. Datetimes become ISO strings whose paths are listed in ``meta``."""
    dates: dict[str, list[str]] = {}
    plain = _plain(value, "", dates)
    return {"json": plain, "meta": {"values": dates}} if dates else {"json": plain}


def _plain(value: Json, path: str, dates: dict[str, list[str]]) -> Json:
    if isinstance(value, datetime):
        dates[path] = ["Date"]
        return iso(value)
    if isinstance(value, Mapping):
        return {key: _plain(item, _join(path, key), dates) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, _join(path, str(index)), dates) for index, item in enumerate(value)]
    return value


def _join(path: str, key: str) -> str:
    # superjson's own escaping: a dot inside a key must not read as a step.
    escaped = key.replace("\\", "\\\\").replace(".", "\\.")
    return f"{path}.{escaped}" if path else escaped


def parse_answer(body: bytes) -> TrpcAnswer:
    """Decode an answer in either encoding; raises :class:`WireError` for anything else, such as a CDN's HTML."""
    try:
        outer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError("the answer is not JSON") from error
    if not isinstance(outer, dict):
        raise WireError("the answer is not an object")
    if "error" in outer:
        return _failure(_payload(outer["error"]))
    result = outer.get("result")
    if not isinstance(result, dict):
        raise WireError("the answer holds neither a result nor an error")
    return TrpcAnswer(data=_payload(result.get("data")))


def is_answer(body: bytes) -> bool:
    """Whether this is tRPC's own answer, also where it is a refusal."""
    try:
        parse_answer(body)
    except WireError:
        return False
    return True


def _payload(value: Json) -> Json:
    if isinstance(value, str):
        return parse_devalue(value)
    if isinstance(value, dict) and "json" in value:
        return value["json"]
    return value


def _failure(error: Json) -> TrpcAnswer:
    if not isinstance(error, dict):
        return TrpcAnswer(failed=True, message=flatten(error))
    data = error.get("data")
    code = flatten(data.get("code")) if isinstance(data, dict) else ""
    message = error.get("message")
    return TrpcAnswer(failed=True, message=readable(message) if isinstance(message, str) else code, code=code)


def readable(message: str) -> str:
    """A schema failure's message is itself JSON, a list of issues: as one line. Other messages stay as they are."""
    if message.lstrip().startswith("["):
        try:
            return flatten(json.loads(message)) or message
        except (ValueError, RecursionError):
            return message
    return message


_INTEGER = re.compile(r"-?[0-9]{1,400}", re.ASCII)
_DEEPEST = 200
_SPECIAL: Final[dict[int, Json]] = {-1: None, -2: None, -3: math.nan, -4: math.inf, -5: -math.inf, -6: -0.0}


def parse_devalue(text: str) -> Json:
    """Decode devalue's flat form. Dates stay ISO strings, holes and undefined become ``None``.

    Raises :class:`WireError` for damage: slots that don't exist, cycles, unknown tags, nesting past 200 levels.
    """
    try:
        slots = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError("the answer's data is not devalue") from error
    if isinstance(slots, int) and not isinstance(slots, bool):
        return _special(slots)
    if not isinstance(slots, list) or not slots:
        raise WireError("the answer's data is not devalue")
    return _Slots(slots).read(0, 0)


def _special(number: int) -> Json:
    if number not in _SPECIAL:
        raise WireError(f"devalue has no special value {number}")
    return _SPECIAL[number]


class _Slots:
    """Slots read at most once each: they may share parts, and doubled sharing would otherwise grow without end."""

    def __init__(self, slots: list[Json]) -> None:
        self._slots = slots
        self._known: dict[int, Json] = {}
        self._open: set[int] = set()

    def read(self, index: Json, depth: int) -> Json:
        if not isinstance(index, int) or isinstance(index, bool):
            raise WireError("devalue refers to a slot by something other than a number")
        if index < 0:
            return _special(index)
        if index not in self._known:
            if index >= len(self._slots) or index in self._open or depth > _DEEPEST:
                raise WireError("devalue refers to a slot that can't be read")
            self._open.add(index)
            self._known[index] = self._decode(self._slots[index], depth + 1)
            self._open.remove(index)
        return self._known[index]

    def _decode(self, value: Json, depth: int) -> Json:
        if isinstance(value, dict):
            return {key: self.read(item, depth) for key, item in value.items()}
        if not isinstance(value, list):
            return value
        if value and isinstance(value[0], str):
            return self._tagged(value[0], value[1:], depth)
        return [self.read(item, depth) for item in value]

    def _tagged(self, tag: str, rest: list[Json], depth: int) -> Json:
        if tag == "Date" and rest:
            return rest[0]
        if tag == "BigInt" and rest and isinstance(rest[0], str) and _INTEGER.fullmatch(rest[0]):
            return int(rest[0])
        if tag == "Set":
            return [self.read(item, depth) for item in rest]
        pairs = list(zip(rest[::2], rest[1::2], strict=False))
        if tag == "Map":
            return {str(self.read(key, depth)): self.read(item, depth) for key, item in pairs}
        if tag == "null":
            return {str(key): self.read(item, depth) for key, item in pairs}
        raise WireError(f"devalue has no tag {tag[:40]}")
