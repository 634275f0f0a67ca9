"""What a picture tells of how it was drawn, in one form for all programs: enough to draw one like it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hubman.generate.prompt_tags import LoraTag
from hubman.generate.request import Hires


class ToldLora(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A LoRA as the picture names it; ``hash`` is the beginning of some hash of its file, or empty."""

    name: str
    hash: str = ""
    strength: float = 1.0
    te_strength: float | None = None
    """Text-encoder strength; None = the same as ``strength``."""
    start: int = 0
    stop: int | None = None
    blocks: str = ""
    rank: int | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Prompts are in A1111's grammar whoever wrote them, without LoRA tags. None or empty is what is not told."""

    tool: str
    prompt: str = ""
    negative: str = ""
    loras: tuple[ToldLora, ...] = ()
    model: str = ""
    model_hash: str = ""
    seed: int | None = None
    steps: int | None = None
    cfg: float | None = None
    sampler: str = ""
    """A1111's name."""
    schedule: str = ""
    """A1111's schedule type."""
    width: int | None = None
    height: int | None = None
    clip_skip: int = 1
    emphasis: str = "Original"
    hires: Hires | None = None
    remarks: tuple[str, ...] = ()
    """What keeps a picture that is drawn from this from being the same."""


def lora_of(tag: LoraTag, hash: str = "") -> ToldLora:
    """A tag of a prompt as such a LoRA."""
    return ToldLora(
        name=tag.name, hash=hash, strength=tag.unet, te_strength=None if tag.te == tag.unet else tag.te,
        start=tag.start, stop=tag.stop, blocks=tag.block_weights, rank=tag.rank,
    )  # fmt: skip


def side(value: object) -> int | None:
    """Pixels of a side, None if it can be none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 100_000 else None


def whole(values: Mapping[str, Any], *names: str) -> int | None:
    """The first whole number of these names; a seed may have 64 bits."""
    for name in names:
        value = values.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
            return value
    return None
