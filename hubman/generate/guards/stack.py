"""Guard rails of the LoRAs of a request together: how many, how far they move the base, and whether they are kin."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hubman.generate.guards.guard import Guard, Mend, on, reach, scaled, without
from hubman.generate.request import DrawRequest, LoraUse
from hubman.lora.conflict import Kinship, Meter

MANY_LORAS = 3
MOST_PERCENTILE = 95.0
MOST_INTERACTION = 0.3
LESS = 0.75
_DERIVED = frozenset({"same", "cut", "epoch"})
"""Kinds of kinship in which the one does what the other does."""

Found = Iterator[Guard[DrawRequest]]


def together(request: DrawRequest, meter: Meter | None) -> Found:
    """Everything to say of the stack; ``meter`` is of its files at its strengths, if it is known."""
    yield from _twice(request)
    yield from _count(request)
    if meter is not None and len(on(request)) > 0:
        yield from _budget(request, meter)
        yield from _interaction(request, meter)
        yield from _kin(request, meter)


def _twice(request: DrawRequest) -> Found:
    hashes = [use.sha256.lower() for use in request.loras]
    for sha256 in dict.fromkeys(each for each in hashes if hashes.count(each) > 1):
        uses = [use for use in request.loras if use.sha256.lower() == sha256]
        total = sum(use.strength for use in uses)
        yield Guard(
            "twice",
            f"{uses[0].name} is in the prompt twice",
            "it cannot be drawn: what the second one does depends on the program",
            fix=f"use it once, at {total:g}",
            mend=_once(sha256),
            level="error",
            about=(sha256,),
        )


def _once(sha256: str) -> Mend:
    def mend(request: DrawRequest) -> DrawRequest:
        uses = [use for use in request.loras if use.sha256.lower() == sha256]
        if len(uses) < 2:
            return request
        strength, text = sum(use.strength for use in uses), sum(use.text_strength for use in uses)
        joined = msgspec.structs.replace(
            uses[0], strength=round(strength, 4), te_strength=None if text == strength else round(text, 4)
        )
        kept = [joined if use is uses[0] else use for use in request.loras if use is uses[0] or use not in uses[1:]]
        kept = [use for use in kept if use is joined or use.sha256.lower() != sha256]
        return msgspec.structs.replace(request, loras=tuple(kept))

    return mend


def _count(request: DrawRequest) -> Found:
    active = on(request)
    if len(active) <= MANY_LORAS:
        return
    weakest = sorted(active, key=reach)[: len(active) - MANY_LORAS]
    names = ", ".join(use.name for use in weakest)
    yield Guard(
        "many-loras",
        f"{len(active)} LoRAs at once",
        "their changes add up; a combination grid shows which ones matter",
        fix=f"take the weakest out: {names}",
        mend=without(*(use.sha256.lower() for use in weakest)),
        about=tuple(use.sha256.lower() for use in weakest),
    )


def _budget(request: DrawRequest, meter: Meter) -> Found:
    percentile = meter.total.percentile
    if percentile is None or percentile <= MOST_PERCENTILE:
        return
    yield Guard(
        "over-budget",
        f"together they move the base further than {percentile:.0f} % of the library's LoRAs do",
        "pictures may burn or fall apart: what counts is how far the weights move, not the sum of strengths",
        fix=f"all strengths x {LESS:g}",
        mend=scaled(LESS),
        about=tuple(use.sha256.lower() for use in on(request)),
    )


def _interaction(request: DrawRequest, meter: Meter) -> Found:
    active = on(request)
    if meter.total.interaction <= MOST_INTERACTION or len(active) < 2:
        return
    weaker = min(active, key=reach)
    yield Guard(
        "reinforce",
        f"they push the same weights the same way ({meter.total.interaction:.0%} more than each by itself)",
        "together they may be over-driven",
        fix=f"take {weaker.name} out",
        mend=without(weaker.sha256.lower()),
        about=tuple(use.sha256.lower() for use in active),
    )


def _kin(request: DrawRequest, meter: Meter) -> Found:
    uses = {use.sha256.lower(): use for use in on(request)}
    for kinship in meter.relations:
        if kinship.kind not in _DERIVED:
            continue
        one, other = uses.get(kinship.one.lower()), uses.get(kinship.other.lower())
        if one is not None and other is not None:
            yield _akin(kinship, one, other)


def _akin(kinship: Kinship, one: LoraUse, other: LoraUse) -> Guard[DrawRequest]:
    gone, kept = one.sha256.lower(), other.sha256.lower()

    def mend(request: DrawRequest) -> DrawRequest:
        """What the one did is taken over by the other, in its units."""
        taken = next((use for use in request.loras if use.sha256.lower() == gone), None)
        if taken is None:
            return request
        add = taken.strength * kinship.ratio
        loras = [
            msgspec.structs.replace(use, strength=round(use.strength + add, 2), te_strength=None)
            if use.sha256.lower() == kept
            else use
            for use in request.loras
            if use.sha256.lower() != gone
        ]
        return msgspec.structs.replace(request, loras=tuple(loras))

    return Guard(
        f"kin-{kinship.kind}",
        f"{one.name} {kinship.words.replace('{}', other.name)}",
        "both together are one LoRA at the sum of their strengths",
        fix=f"only {other.name}, at {round(other.strength + one.strength * kinship.ratio, 2):g}",
        mend=mend,
        about=(gone, kept),
    )
