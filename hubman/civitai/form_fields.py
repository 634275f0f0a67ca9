"""The fields of the publish form: what each is, what it may be, and how it is read from what a person typed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hubman.civitai import contract
from registry.errors import UsageError

Kind = Literal["text", "long", "answer", "flag", "choice", "number", "count", "words", "when"]
USES = ("Image", "RentCivit", "Rent", "Sell")


@dataclass(frozen=True)
class FormField:
    """``level`` says whether the model or each version has it; an ``answer`` may be left open, a ``flag`` is yes or no."""

    name: str
    kind: Kind
    level: Literal["model", "version", "permission"]
    help: str
    choices: Callable[[], tuple[str, ...]] = tuple
    low: float = -math.inf
    high: float = math.inf


def _types() -> tuple[str, ...]:
    return contract.enum_values("ModelType")


def _bases() -> tuple[str, ...]:
    return contract.enum_values("ActiveBaseModel")


_LIST = (
    FormField("name", "text", "model", "the model's name on its page"),
    FormField("version_name", "text", "version", "the version's name, such as v1.0"),
    FormField("type", "choice", "model", "Civitai's type; LoCon is LyCORIS", _types),
    FormField("base_model", "text", "version", "Civitai's exact name of the base model", _bases),
    FormField("category", "text", "model", "exactly one of Civitai's category tags, such as style or character"),
    FormField("tags", "words", "model", "further tags, with commas"),
    FormField("description", "long", "model", "what the page says, in Markdown"),
    FormField("version_description", "long", "version", "what is new in this version, in Markdown"),
    FormField("trained_words", "words", "version", "trigger words, with commas"),
    FormField("no_trigger_words", "flag", "version", "yes where it works without any"),
    FormField("strength", "number", "version", "the strength to recommend", low=-100, high=100),
    FormField("strength_min", "number", "version", "the smallest strength that works", low=-100, high=100),
    FormField("strength_max", "number", "version", "the largest strength that works", low=-100, high=100),
    FormField("epochs", "count", "version", "epochs that it was trained for", low=0, high=100_000),
    FormField("steps", "count", "version", "steps that it was trained for", low=0, high=2**31 - 1),
    FormField("clip_skip", "count", "version", "which of the text encoder's last layers is read", low=1, high=12),
    FormField("pictures", "words", "version", "pictures to show, in order: how their SHA-256 begins, and a caption if you like"),
    FormField("nsfw", "answer", "model", "is it meant for mature content?"),
    FormField("poi", "answer", "model", "does it depict a real person?"),
    FormField("minor", "answer", "model", "does it depict somebody under age?"),
    FormField("sfw_only", "answer", "model", "may it be used for safe content only?"),
    FormField("allow_no_credit", "flag", "permission", "may others use it without naming you?"),
    FormField("allow_derivatives", "flag", "permission", "may others merge it?"),
    FormField("allow_different_license", "flag", "permission", "may merges have other permissions?"),
    FormField("commercial_use", "words", "permission", "of Image, RentCivit, Rent, Sell, with commas; or none", lambda: USES),
    FormField("attach_training_data", "flag", "model", "whether the images and captions are attached; no keeps them private"),
    FormField("published_at", "when", "model", "when it goes public: now, a time such as 2027-01-31T18:00, or +2d"),
    FormField("early_access_days", "count", "model", "days of early access; 0 is off", low=0, high=365),
    FormField("early_access_price", "count", "model", "what a download costs in early access, in Buzz", low=0, high=10**9),
    FormField("strip", "flag", "model", "send a copy whose header tells nothing of you and your machine"),
    FormField("civitai_model_id", "count", "model", "a model of yours to add it to; 0 makes a new one", low=0, high=2**31 - 1),
)  # fmt: skip

FIELDS: dict[str, FormField] = {field.name: field for field in _LIST}
ANSWERS = ("nsfw", "poi", "minor")
"""What only a person can say, and has to."""

_YES = {"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False}
_AHEAD = re.compile(r"\+(\d{1,4})\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse(name: str, text: str, *, now: datetime | None = None) -> Any:
    """The value of a field from a text; an empty one is no value (``None``, or an empty text or list).

    Raises :class:`UsageError` naming the field.
    """
    field, text = FIELDS[name], text.strip()
    if field.kind in {"text", "long"}:
        return text
    if field.kind == "words":
        return _words(field, text)
    if field.kind == "choice":
        return _choice(field, text)
    if field.kind == "when":
        return when(text, now)
    if field.kind in {"answer", "flag"}:
        return _truth(field, text)
    return _number(field, text)


def _words(field: FormField, text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    allowed = field.choices()
    if not allowed:
        return words
    by_name = {choice.lower(): choice for choice in allowed}
    unknown = [word for word in words if word.lower() not in {*by_name, "none"}]
    if unknown:
        raise UsageError(f"{_called(field)} can't be {unknown[0]}", f"use {', '.join(allowed)}, or none")
    return tuple(by_name[word.lower()] for word in words if word.lower() != "none")


def _choice(field: FormField, text: str) -> str:
    found = next((choice for choice in field.choices() if choice.lower() == text.lower()), None)
    if found is None:
        raise UsageError(f"{_called(field)} can't be {text!r}", f"use one of {', '.join(field.choices())}")
    return found


def _truth(field: FormField, text: str) -> bool | None:
    if not text and field.kind == "answer":
        return None
    if text.lower() not in _YES:
        raise UsageError(f"{_called(field)} can't be {text!r}", "say yes or no")
    return _YES[text.lower()]


def _number(field: FormField, text: str) -> float | int | None:
    is_whole = field.kind == "count"
    if not text:
        return 0 if field.low == 0 and field.level == "model" else None
    try:
        value: float = int(text) if is_whole else float(text)
    except ValueError:
        raise UsageError(
            f"{_called(field)} can't be {text!r}", f"give a {'whole ' if is_whole else ''}number"
        ) from None
    if not (math.isfinite(value) and field.low <= value <= field.high):
        raise UsageError(f"{_called(field)} can't be {text}", f"give a number from {field.low:g} to {field.high:g}")
    return value


def when(text: str, now: datetime | None = None) -> str | None:
    """A time as ISO text in UTC: ``+2d`` is counted from now, a time without zone is this machine's; ``now`` is None.

    Raises :class:`UsageError`.
    """
    if text.lower() in {"", "now"}:
        return None
    if ahead := _AHEAD.fullmatch(text.lower()):
        at = (now or datetime.now(UTC)) + timedelta(**{_UNITS[ahead[2]]: int(ahead[1])})
    else:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(
                f"published at can't be {text!r}", "give a time such as 2027-01-31T18:00, +2d, +3h, or now"
            ) from None
    return at.astimezone(UTC).isoformat(timespec="seconds")


def shown(name: str, value: Any) -> str:
    """A value as a person may type it again."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or ("none" if name == "commercial_use" else "")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _called(field: FormField) -> str:
    return field.name.replace("_", " ")
