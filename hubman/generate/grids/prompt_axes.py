"""Axes over the words of a request: search and replace, order, and the slots of a template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import pairwise, permutations

import msgspec

from hubman.generate.axes import Axis, Cost, Point
from hubman.generate.prompt_tags import cut_tags
from hubman.generate.request import DrawRequest
from registry.errors import UsageError

MAX_ORDERED = 5
"""Words whose every order is drawn: 120 of them."""


def replace_axis(request: DrawRequest, values: Sequence[str]) -> Axis:
    """Search and replace in prompt and negative prompt: the first value is searched for, and must be there."""
    search = values[0]
    if search not in request.prompt and search not in request.negative:
        raise UsageError(f"the prompt does not hold {search!r}", "the first value of this axis is what is replaced")
    _no_tags(values)

    def put(r: DrawRequest, value: str) -> DrawRequest:
        prompt, negative = r.prompt.replace(search, value), r.negative.replace(search, value)
        return msgspec.structs.replace(r, prompt=prompt, negative=negative)

    points = tuple(Point(value or "(nothing)", partial(put, value=value)) for value in values)
    return Axis("Prompt", points, kind="prompt", cost=Cost.PROMPT, sets=frozenset({f"the words {search!r}"}))


def order_axis(request: DrawRequest, words: Sequence[str]) -> Axis:
    """Every order of ``words``, each in the places where they stand in the prompt now (that order comes first).

    Raises ``UsageError`` for a word that is not there, for words that overlap, and for more than five.
    """
    if not 2 <= len(words) <= MAX_ORDERED:
        raise UsageError(f"an order of {len(words)} words", f"give 2 to {MAX_ORDERED}")
    for word in words:
        if word not in request.prompt:
            raise UsageError(f"the prompt does not hold {word!r}", "name words of the prompt")
    standing = sorted(words, key=request.prompt.index)
    spans = [(request.prompt.index(word), len(word)) for word in standing]
    if any(at + size > after for (at, size), (after, _) in pairwise(spans)):
        raise UsageError("words of the order overlap in the prompt", "name separate ones")

    def put(r: DrawRequest, order: tuple[str, ...]) -> DrawRequest:
        places = iter(order)
        pattern = "|".join(re.escape(word) for word in sorted(standing, key=len, reverse=True))
        text = re.sub(pattern, lambda _: next(places), r.prompt, count=len(order))
        return msgspec.structs.replace(r, prompt=text)

    points = [Point(", ".join(order), partial(put, order=order)) for order in permutations(standing)]
    return Axis("Order", tuple(points), kind="order", cost=Cost.PROMPT, sets=frozenset({"the order of words"}))


def slot_axis(request: DrawRequest, slot: str, values: Sequence[str]) -> Axis:
    r"""What ``{slot}`` of the prompt or negative prompt stands for; ``\{slot}`` is no slot.

    Raises ``UsageError`` if neither has it.
    """
    pattern = re.compile(rf"(?<!\\)\{{{re.escape(slot)}\}}")
    if not pattern.search(request.prompt) and not pattern.search(request.negative):
        raise UsageError(f"the prompt has no slot {{{slot}}}", f"write {{{slot}}} where its values shall go")
    _no_tags(values)

    def put(r: DrawRequest, value: str) -> DrawRequest:
        prompt, negative = (pattern.sub(lambda _: value, text) for text in (r.prompt, r.negative))
        return msgspec.structs.replace(r, prompt=prompt, negative=negative)

    points = tuple(Point(value or "(nothing)", partial(put, value=value)) for value in values)
    return Axis(slot, points, kind="slot", cost=Cost.PROMPT, sets=frozenset({f"the slot {slot}"}))


def _no_tags(values: Sequence[str]) -> None:
    for value in values:
        if tags := cut_tags(value).tags:
            raise UsageError(
                f"{tags[0]} as a word of the prompt does nothing",
                f"use lora:… or strength:{tags[0].name}=… as the axis",
            )
