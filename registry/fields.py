"""What can be said of an item, and whose word counts."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from registry.errors import UsageError
from registry.listing import LEVELS, highest_bit

SOURCES = ("user", "sweep", "training", "civitai", "sidecar", "header", "file", "guess")
"""Who said it, the most trusted first: the shown value is the first source's that has one."""

KINDS = (
    "lora", "checkpoint", "embedding", "vae", "controlnet", "t2i-adapter", "ip-adapter", "upscaler", "text-encoder",
    "image-encoder", "motion", "other",
)  # fmt: skip
"""What a model can be: what :mod:`registry.identify_kinds` tells apart."""

Level = Literal["model", "version", "collection"]
Type = Literal["text", "int", "real", "bool", "json"]


@dataclass(frozen=True)
class Field:
    """One fact about a model, a version or a collection. ``editable`` by a person through ``edit``."""

    name: str
    of: Level
    type: Type
    editable: bool = False
    column: str = ""
    low: float = -(1 << 62)
    high: float = 1 << 62

    @property
    def stored_as(self) -> str:
        return self.column or self.name

    def fits(self, value: object) -> bool:
        """Whether ``value``, which may come from another machine, is of the field's type and in its range."""
        if self.type == "bool" or isinstance(value, bool):
            return self.type == "bool" and isinstance(value, bool)
        if self.type == "int":
            return isinstance(value, int) and self.low <= value <= self.high
        if self.type == "real":
            return isinstance(value, int | float) and self.low <= value <= self.high
        return isinstance(value, dict if self.type == "json" else str)


_FIELDS = (
    Field("name", "model", "text", editable=True),
    Field("kind", "model", "text", editable=True),
    Field("creator", "model", "text", editable=True),
    Field("rating", "model", "int", editable=True, low=0, high=5),
    Field("favourite", "model", "bool", editable=True),
    Field("alias", "model", "text", editable=True),
    Field("origin", "model", "text"),
    Field("nsfw_level", "model", "int", editable=True, low=0, high=1 << 31),
    Field("permissions", "model", "json"),
    Field("civitai_model_id", "model", "int", column="civitai_id"),
    Field("upstream_deleted", "model", "bool"),
    Field("upstream_mode", "model", "text"),
    Field("newest_upstream", "model", "int"),
    Field("deleted_at", "model", "text"),
    Field("model", "version", "text", column="model_id"),
    Field("version_name", "version", "text", editable=True, column="name"),
    Field("base_model", "version", "text", editable=True),
    Field("architecture", "version", "text"),
    Field("strength", "version", "real", editable=True, low=-15, high=15),
    Field("strength_min", "version", "real", editable=True, low=-15, high=15),
    Field("strength_max", "version", "real", editable=True, low=-15, high=15),
    Field("negative_prompt", "version", "text", editable=True),
    Field("civitai_version_id", "version", "int", column="civitai_id"),
    Field("run_id", "version", "text"),
    Field("published_url", "version", "text"),
    Field("hub_url", "version", "text"),
    Field("cover", "version", "text"),
    Field("replaced_by", "version", "text"),
    Field("early_until", "version", "text"),
    Field("collection_name", "collection", "text"),
    Field("parent", "collection", "text"),
    Field("removed_at", "collection", "text"),
)

FIELDS: dict[str, Field] = {field.name: field for field in _FIELDS}
TEXTS: dict[str, Literal["model", "version"]] = {"notes": "model", "description": "model", "changelog": "version"}
"""Long texts: two machines' concurrent edits are both kept until the next save."""

SETS: dict[str, Literal["model", "version"]] = {
    "tags": "model",
    "trigger_words": "version",
    "trigger_groups": "version",
    "previews": "version",
    "collections": "model",
}
ORDERED_SETS = frozenset({"trigger_words", "previews"})
"""Those that are shown in the order in which their values were added."""


def level_of(name: str) -> Level | None:
    """What a field, text or set is said of; None for a name of a later version of hubman."""
    known = FIELDS.get(name)
    return known.of if known else {**TEXTS, **SETS}.get(name)


def editable_names() -> list[str]:
    return sorted(
        [field.name for field in _FIELDS if field.editable] + list(TEXTS) + ["trigger_words", "trigger_groups", "tags"]
    )


def parse(field: Field, text: str) -> Any:
    """``text`` as a person typed it, as the field's type; an empty text means no value.

    Raises :class:`UsageError` naming the field.
    """
    text = text.strip()
    if not text:
        return None
    if field.type == "bool":
        if text.lower() not in {"yes", "no", "true", "false", "1", "0"}:
            raise UsageError(f"{field.name} can't be {text!r}", "say yes or no")
        return text.lower() in {"yes", "true", "1"}
    if field.type == "text":
        return _parse_text(field.name, text)
    if field.name == "nsfw_level" and text.lower().replace("-", "") in LEVELS:
        return LEVELS[text.lower().replace("-", "")]
    try:
        number = int(text) if field.type == "int" else float(text)
    except ValueError:
        raise UsageError(f"{field.name} can't be {text!r}", _wanted(field.name)) from None
    if not field.low <= number <= field.high:
        raise UsageError(f"{field.name} can't be {number:g}", f"it goes from {field.low:g} to {field.high:g}")
    return number


def shown(name: str, value: Any) -> str:
    """A fact as a person reads it, and as :func:`parse` takes it."""
    if value is None:
        return ""
    if name == "nsfw_level":
        # A model's number has a bit for each level of its pictures; the highest counts.
        return next((level for level, bit in LEVELS.items() if bit == highest_bit(value)), str(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


_BREAKS_TAG = frozenset("<>:,\r\n")


def _parse_text(name: str, text: str) -> str:
    if name == "kind":
        if text.lower() not in KINDS:
            near = get_close_matches(text.lower(), KINDS, 1, 0.5)
            raise UsageError(
                f"kind can't be {text!r}", f"did you mean {near[0]}?" if near else f"use one of {', '.join(KINDS)}"
            )
        return text.lower()
    if name == "alias" and not _BREAKS_TAG.isdisjoint(text):
        raise UsageError(f"alias can't be {text!r}", "<, >, :, commas and line breaks would break the tag in a prompt")
    return text


def _wanted(name: str) -> str:
    return f"use one of {', '.join(LEVELS)}" if name == "nsfw_level" else "give a number"
