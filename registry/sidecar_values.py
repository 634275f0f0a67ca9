"""Somebody else's values made ours: types are checked, control characters go, lengths are bounded.

What does not fit is as good as absent: None, or nothing.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from registry import timestamps

MAX_NAME = 200
MAX_TEXT = 60_000
MAX_WORDS = 100
_KINDS = {
    "lora": "lora", "locon": "lora", "dora": "lora", "lycoris": "lora", "checkpoint": "checkpoint", "vae": "vae",
    "textualinversion": "embedding", "controlnet": "controlnet",
}  # fmt: skip
_USES = ("Image", "RentCivit", "Rent", "Sell", "None")
_LEVELS = 63
"""All bits of Civitai's levels: PG 1, PG13 2, R 4, X 8, XXX 16, blocked 32."""

Document = Mapping[str, Any]


def said(**facts: object) -> dict[str, object]:
    """The facts that say something."""
    return {name: value for name, value in facts.items() if value is not None and value not in ("", {})}


def mapping(value: object) -> Document:
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def filled(doc: Document, *keys: str) -> tuple[str, ...]:
    """Which of these keys hold something."""
    return tuple(key for key in keys if doc.get(key))


def decoded(value: object) -> object:
    """JSON inside a text; what is no text stays."""
    try:
        return msgspec.json.decode(value) if isinstance(value, str) else value
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def number(value: object) -> int | None:
    """A positive id; some writers put it into a text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 53 else None


def strength(value: object) -> float | None:
    if isinstance(value, str):
        value = decoded(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 15:
        return None
    return float(value)


def span(value: object) -> tuple[float | None, float | None]:
    """A range such as ``0.3-0.8``."""
    match = (
        re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*-\s*(-?\d+(?:\.\d+)?)\s*", value[:40]) if isinstance(value, str) else None
    )
    return (strength(float(match[1])), strength(float(match[2]))) if match else (None, None)


def name(value: object) -> str | None:
    return " ".join(visible(value).split())[:MAX_NAME].strip() if isinstance(value, str) else None


def base(value: object) -> str | None:
    text = name(value)
    return None if text in {None, "", "Unknown", "unknown", "Other"} else text


def kind(value: object) -> str | None:
    return _KINDS.get(value.lower()) if isinstance(value, str) else None


def words(value: object) -> tuple[str, ...]:
    """Words without repetitions, without prompts' LoRA tags."""
    texts = (word[: 10 * MAX_NAME] for word in items(value)[: MAX_WORDS * 10] if isinstance(word, str))
    found = ((name(re.sub(r"<lora:[^>]*>", "", text)) or "").strip(" ,") for text in texts)
    return unique(word for word in found if word)[:MAX_WORDS]


def unique(found: Iterable[str]) -> tuple[str, ...]:
    """Each word once, however it is capitalised, as it came first."""
    seen: dict[str, str] = {}
    for word in found:
        seen.setdefault(word.casefold(), word)
    return tuple(seen.values())


def prose(value: object) -> str:
    """Text with paragraphs, from what may be HTML."""
    if not isinstance(value, str):
        return ""
    text = re.sub(r"(?i)<(br|/p|/div|/li|/h\d)[^>]*>", "\n", value[: 4 * MAX_TEXT])
    text = html.unescape(re.sub(r"<[^<>]*>", "", text)) if "<" in value else text
    return re.sub(r"\n{3,}", "\n\n", visible(text)).strip()[:MAX_TEXT].strip()


def visible(text: str) -> str:
    """``text`` without control characters; nearly every text has none, and asking for all at once is ten times faster."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char for char in text if char.isprintable() or char in "\n\t ")


def sha256s(*values: object) -> frozenset[str]:
    """The SHA-256 among these values, in lower case and without ``0x``."""
    texts = (value.lower().removeprefix("0x") for value in values if isinstance(value, str))
    return frozenset(text for text in texts if re.fullmatch("[0-9a-f]{64}", text))


def level(value: object) -> int | None:
    """Bits of Civitai's levels; 0 is unknown."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LEVELS else None


def permissions(doc: Document) -> dict[str, object]:
    """The licence as far as it is told: what is missing is unknown, not allowed."""
    found: dict[str, object] = {
        key: doc[key]
        for key in ("allowNoCredit", "allowDerivatives", "allowDifferentLicense")
        if isinstance(doc.get(key), bool)
    }
    uses = doc.get("allowCommercialUse")
    if isinstance(uses, str):
        uses = uses[:200].strip("{} ").split(",")
    if isinstance(uses, list):
        told = {use.strip().strip('"').lower() for use in uses if isinstance(use, str)}
        found["allowCommercialUse"] = [use for use in _USES if use.lower() in told]
    return found


def moment(value: object) -> str | None:
    """A time in ISO 8601, as the registry stores it."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        return timestamps.of(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
