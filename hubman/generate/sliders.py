"""Sliders: LoRAs that are made for strengths far beyond 0..1, and below 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.records import ModelDetail, VersionRow

_WORDS = frozenset({"slider", "sliders"})
_BEYOND = 2.0
"""A recommended range that reaches this far is a slider's."""


def is_slider(model: ModelDetail, version: VersionRow) -> bool:
    """Whether the record calls it a slider: by a tag or its name, or by a range of strengths that only sliders have."""
    words = {tag.casefold() for tag in model.tags}
    words |= set("".join(sign if sign.isalnum() else " " for sign in f"{model.name} {version.name}").casefold().split())
    reaches = max(abs(version.strength_min or 0), abs(version.strength_max or 0)) > _BEYOND
    return reaches or not words.isdisjoint(_WORDS)
