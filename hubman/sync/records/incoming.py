"""Is a change from elsewhere what its kind says? Only such changes reach the merge; the rest is kept, not obeyed.

What fails here was written by a newer hubman or by somebody who means harm. Either way it stops nothing: it stays
in ``unknown_changes`` as it came, and a later version may make sense of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from hubman.sync.records.batches import TEXT_CAP
from hubman.sync.records.layout import MAX_BLOB
from registry import fields
from registry.changes import Change
from registry.records import Preview, RunRow

STAMP = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")
SHA256 = re.compile(r"[0-9a-f]{64}")
DEVICE = re.compile(r"[0-9a-f]{16}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_ID = re.compile(r"[ -~]{1,160}")
_MAX_INT = 1 << 62
_MAX_DOTS = 10_000


class _FileFacts(msgspec.Struct, kw_only=True):
    """Types and ranges of what a ``file`` change may say; facts of newer versions are left alone."""

    version_id: str
    name: str
    size: int
    format: str
    autov2: str
    added_at: str
    autov1: str | None = None
    autov3: str | None = None
    blake3: str | None = None
    crc32: str | None = None
    network_type: str | None = None
    architecture: str | None = None
    rank: int | None = None
    alpha: float | None = None
    dtype: str | None = None
    tensor_count: int = 0
    metadata: dict[str, str] = {}
    damage: str | None = None


class _Device(msgspec.Struct, kw_only=True):
    name: str = ""
    policy: dict[str, Any] = {}
    app_version: str = ""


def is_sound(change: Change) -> bool:
    """Whether a change of a kind that this version knows has the right shape. Unknown kinds are sound."""
    check = _CHECKS.get(change[0])
    try:
        return check is None or check(*change[1:])
    except (TypeError, ValueError, OverflowError):
        # A wrong number of parts, or a part of the wrong type.
        return False


@lru_cache(maxsize=4096)
def _id(value: object) -> bool:
    # Ten changes in a row speak of one item, and of the same few fields.
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _stamp(value: object) -> bool:
    return isinstance(value, str) and STAMP.fullmatch(value) is not None


def _stamps(values: object) -> bool:
    return isinstance(values, list) and len(values) <= _MAX_DOTS and all(_stamp(value) for value in values)


def _text(value: object, cap: int = TEXT_CAP) -> bool:
    return isinstance(value, str) and len(value.encode()) <= cap


def _whole(value: object) -> bool:
    return type(value) is int and -_MAX_INT < value < _MAX_INT


def _set(item: object, field: object, value: object, stamp: object) -> bool:
    if not isinstance(field, str):
        return False
    source, _, name = field.partition(".")
    if not (_id(item) and _id(field) and _stamp(stamp) and source in fields.SOURCES and name):
        return False
    known = fields.FIELDS.get(name)
    return known is None or value is None or _FITS[known.type](value)


_FITS: dict[fields.Type, Callable[[object], bool]] = {
    "text": _text,
    "int": _whole,
    "real": lambda value: _whole(value) or (isinstance(value, float) and math.isfinite(value)),
    "bool": lambda value: isinstance(value, bool) or value in {0, 1},
    "json": lambda value: isinstance(value, dict | list),
}


def _add(item: object, name: object, value: object, dot: object) -> bool:
    return _id(item) and _id(name) and _text(value, 4 << 10) and _stamp(dot)


def _rem(item: object, name: object, value: object, dots: object) -> bool:
    return isinstance(item, str) and isinstance(name, str) and _text(value, 4 << 10) and _stamps(dots)


def _txt(item: object, field: object, value: object, dot: object, replaced: object) -> bool:
    return _id(item) and _id(field) and _text(value) and _stamp(dot) and _stamps(replaced)


def _cnt(item: object, name: object, device: object, total: object) -> bool:
    return _id(item) and _id(name) and _device(device) and _whole(total)


def _file(sha256: object, facts: object) -> bool:
    body = msgspec.convert(facts, _FileFacts)
    numbers = (body.size, body.rank or 0, body.tensor_count)
    return (
        _sha256(sha256)
        and _id(body.version_id)
        and _text(body.name, 1024)
        and all(0 <= number < _MAX_INT for number in numbers)
        and body.size <= MAX_BLOB
        and _TIME.fullmatch(body.added_at) is not None
    )


def _have(device: object, sha256: object, state: object, stamp: object) -> bool:
    return _device(device) and _sha256(sha256) and _id(state) and _stamp(stamp)


def _dev(device: object, facts: object, stamp: object) -> bool:
    body = msgspec.convert(facts, _Device)
    return _device(device) and _stamp(stamp) and _text(body.name, 1024) and _text(body.app_version, 256)


def _rec(kind: object, record_id: object, body: object) -> bool:
    if not (_id(kind) and _id(record_id) and isinstance(body, dict)):
        return False
    if kind == "preview":
        version, _, sha256 = str(record_id).partition("/")
        msgspec.convert({**body, "version_id": version, "sha256": sha256}, Preview)
        return _id(version) and _sha256(sha256)
    if kind == "run":
        run = msgspec.convert(body, RunRow)
        samples = [*run.samples, *(sample for epoch in run.epochs for sample in epoch.samples)]
        return all(_sha256(sample) for sample in samples) and all(_id(epoch.version_id) for epoch in run.epochs)
    return True


def _device(value: object) -> bool:
    return isinstance(value, str) and DEVICE.fullmatch(value) is not None


def _sha256(value: object) -> bool:
    return isinstance(value, str) and SHA256.fullmatch(value) is not None


_CHECKS: dict[str, Callable[..., bool]] = {
    "set": _set,
    "add": _add,
    "rem": _rem,
    "txt": _txt,
    "cnt": _cnt,
    "file": _file,
    "have": _have,
    "dev": _dev,
    "rec": _rec,
}
