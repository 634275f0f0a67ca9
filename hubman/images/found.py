"""What readers of generation data find in a picture, and how findings of several readers become one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from registry.usage import Kind, Used

MAX_USES = 200
_LONGEST_NAME = 300
_HASH = re.compile(r"(?:0x)?([0-9a-f]{8,64})", re.IGNORECASE)
_MAX_STRENGTH = 100.0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """``tool`` is the program that wrote it; ``uses`` may hold one model several times until :func:`merged`."""

    tool: str
    prompt: str = ""
    uses: tuple[Used, ...] = ()


def used(kind: Kind, name: object, *, hash: object = "", civitai_id: object = 0, strength: object = None) -> list[Used]:
    """One use from values of any type; none if neither name nor hash nor number makes sense."""
    plain = text(name).strip()[:_LONGEST_NAME]
    if plain.lower() in {"none", "[none]", "baked vae", "automatic"}:
        plain = ""
    digits = hash_of(hash)
    number_there = civitai_id if isinstance(civitai_id, int) and 0 < civitai_id < 1 << 53 else 0
    if not (plain or digits or number_there):
        return []
    return [Used(kind=kind, name=plain, hash=digits, civitai_id=number_there, strength=number(strength))]


def hash_of(value: object) -> str:
    """Lower-case hex of 8 to 64 digits, without what some programs write before it (``0x``, ``blake3:``); else empty."""
    if not isinstance(value, str):
        return ""
    match = _HASH.fullmatch(value.strip().rpartition(":")[2])
    return match[1].lower() if match else ""


def number(value: object) -> float | None:
    """A strength that can be, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) <= _MAX_STRENGTH else None


def text(value: object) -> str:
    """A text that a database takes, empty for what is none."""
    return value.encode("utf-8", "replace").decode().replace("\0", "") if isinstance(value, str) else ""


def decoded(raw: str) -> Any:
    """JSON as programs write it, also with ``NaN``; None for what is none or is nested too deep."""
    try:
        return msgspec.json.decode(raw.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    return value[:MAX_USES] if isinstance(value, list) else []


def merged(uses: Iterable[Used]) -> tuple[Used, ...]:
    """Each model once, with the first strength and hash that is said of it; without those of strength 0, which are off."""
    by_name: dict[tuple[str, str], Used] = {}
    for one in uses:
        key = one.kind, _stem(one.name) or one.hash or str(one.civitai_id)
        known = by_name.get(key)
        by_name[key] = _joined(known, one) if known else one
        if len(by_name) >= MAX_USES:
            break
    return tuple(one for one in by_name.values() if one.strength != 0)


def _joined(first: Used, second: Used) -> Used:
    return Used(
        kind=first.kind,
        name=max(first.name, second.name, key=len),
        hash=first.hash or second.hash,
        civitai_id=first.civitai_id or second.civitai_id,
        strength=second.strength if first.strength is None else first.strength,
    )


def _stem(name: str) -> str:
    stem = re.split(r"[/\\]", name)[-1].casefold()
    return re.sub(r"\.(?:safetensors|sft|ckpt|pt|pth|bin|gguf)$", "", stem)
