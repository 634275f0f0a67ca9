"""What can be said of an item, and whose word counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from registry.errors import UsageError

SOURCES = ("user", "training", "civitai", "sidecar", "header", "file", "guess")
"""Who said it, the most trusted first: the shown value is the first source's that has one."""

Type = Literal["text", "int", "real", "bool", "json"]


@dataclass(frozen=True)
class Field:
    """One fact about a model or a version. ``editable`` by a person through ``edit``."""

    name: str
    of: Literal["model", "version"]
    type: Type
    editable: bool = False
    column: str = ""

    @property
    def stored_as(self) -> str:
        return self.column or self.name

    def fits(self, value: object) -> bool:
        """Whether ``value``, which may come from another machine, is of the field's type and can be stored."""
        if self.type == "bool" or isinstance(value, bool):
            return self.type in {"bool", "json"} and isinstance(value, bool)
        if self.type == "int":
            return isinstance(value, int) and abs(value) < 1 << 63
        if self.type == "real":
            return isinstance(value, int | float) and abs(value) < 1e300
        return self.type == "json" or isinstance(value, str)


_FIELDS = (
    Field("name", "model", "text", editable=True),
    Field("kind", "model", "text", editable=True),
    Field("creator", "model", "text", editable=True),
    Field("rating", "model", "int", editable=True),
    Field("favourite", "model", "bool", editable=True),
    Field("alias", "model", "text", editable=True),
    Field("origin", "model", "text"),
    Field("nsfw_level", "model", "int", editable=True),
    Field("permissions", "model", "json"),
    Field("civitai_model_id", "model", "int", column="civitai_id"),
    Field("upstream_deleted", "model", "bool"),
    Field("newest_upstream", "model", "int"),
    Field("deleted_at", "model", "text"),
    Field("model", "version", "text", column="model_id"),
    Field("version_name", "version", "text", editable=True, column="name"),
    Field("base_model", "version", "text", editable=True),
    Field("architecture", "version", "text"),
    Field("strength", "version", "real", editable=True),
    Field("strength_min", "version", "real", editable=True),
    Field("strength_max", "version", "real", editable=True),
    Field("civitai_version_id", "version", "int", column="civitai_id"),
    Field("run_id", "version", "text"),
    Field("published_url", "version", "text"),
    Field("cover", "version", "text"),
    Field("replaced_by", "version", "text"),
    Field("early_until", "version", "text"),
)

FIELDS: dict[str, Field] = {field.name: field for field in _FIELDS}
TEXTS: dict[str, Literal["model", "version"]] = {"notes": "model", "description": "model", "changelog": "version"}
"""Long texts: two machines' concurrent edits are both kept until the next save."""

SETS: dict[str, Literal["model", "version"]] = {"tags": "model", "trigger_words": "version", "previews": "version"}


def editable_names() -> list[str]:
    return sorted([field.name for field in _FIELDS if field.editable] + list(TEXTS) + ["trigger_words", "tags"])


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
        return text
    try:
        number = int(text) if field.type == "int" else float(text)
    except ValueError:
        raise UsageError(f"{field.name} can't be {text!r}", "give a number") from None
    return _in_range(field, number)


def _in_range(field: Field, number: float) -> float:
    low, high = {"rating": (0, 5), "strength": (-15, 15), "strength_min": (-15, 15), "strength_max": (-15, 15)}.get(
        field.name, (0, 1 << 31)
    )
    if not low <= number <= high:
        raise UsageError(f"{field.name} can't be {number:g}", f"it goes from {low} to {high}")
    return number
