"""Composition: the parts of a prompt that stand on both sides of ``AND``, each with its weight."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hubman.generate.prompt_tag_args import NUMBER

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(rf":\s*({NUMBER})\s*\Z")


@dataclass(frozen=True)
class Part:
    """One side of AND with its weight; ``at`` is where its text begins in the whole prompt."""

    text: str
    weight: float = 1.0
    at: int = field(default=0, compare=False)


def parts(text: str) -> tuple[Part, ...]:
    """Split at AND; a trailing ``:number`` of a part is its weight. Without AND the prompt is one part of weight 1."""
    edges = [0, *(edge for match in _AND.finditer(text) for edge in match.span()), len(text)]
    if len(edges) == 2:
        return (Part(text),)
    return tuple(_part(text[start:end], start) for start, end in zip(edges[::2], edges[1::2], strict=True))


def _part(text: str, at: int) -> Part:
    weight = _WEIGHT.search(text)
    return Part(text[: weight.start()], float(weight[1]), at) if weight else Part(text, 1.0, at)


def trailing_weight(text: str) -> tuple[int, int] | None:
    """Where a prompt without AND ends in what A1111 takes for the weight of all of it (``a photo in 16:9``)."""
    found = None if _AND.search(text) else _WEIGHT.search(text)
    return found and found.span()
