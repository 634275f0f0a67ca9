"""Guard rails: what may go wrong with a request, why, and what would help. They warn and never change anything."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hubman.generate.request import DrawRequest, LoraUse

STRONG = 0.9
MANY_LORAS = 3
SLIDER_LIMIT = 15
MANY_CELLS = 200
_FAST = ("lcm", "turbo", "lightning", "hyper-sd")


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """A warning. ``code`` is stable; ``fixed`` is the request with the one-key fix applied, where there is one."""

    code: str
    message: str
    reason: str
    fix: str = ""
    fixed: DrawRequest | None = None


def guards(request: DrawRequest) -> tuple[Guard, ...]:
    """Everything to say of a request without looking at weights."""
    found: list[Guard] = []
    for number, use in enumerate(request.loras):
        found += _strength(request, number, use)
        found += _trigger(request, use)
        found += _accelerated(request, use)
    return (*found, *_count(request), *_twice(request))


def grid_guards(cells: int, seconds_each: float = 0.0) -> tuple[Guard, ...]:
    """What to say of a grid before it is drawn."""
    if cells <= MANY_CELLS:
        return ()
    minutes = f", about {cells * seconds_each / 60:.0f} minutes" if seconds_each else ""
    reason = "each cell is a whole picture; finished cells are kept if you stop it"
    return (Guard(code="many-cells", message=f"{cells} cells{minutes}", reason=reason, fix="take fewer points"),)


def _replaced(request: DrawRequest, number: int, **changes: float | None) -> DrawRequest:
    loras = list(request.loras)
    loras[number] = msgspec.structs.replace(loras[number], **changes)
    return msgspec.structs.replace(request, loras=tuple(loras))


def _strength(request: DrawRequest, number: int, use: LoraUse) -> list[Guard]:
    strengths = (use.strength, use.text_strength)
    if use.slider:
        if max(abs(strength) for strength in strengths) <= SLIDER_LIMIT:
            return []
        message = f"{use.name} is beyond {SLIDER_LIMIT}, the range of sliders"
        return [Guard(code="strength-slider", message=message, reason="pictures fall apart there")]
    if max(strengths) > STRONG:
        return [
            Guard(
                code="strength-high",
                message=f"{use.name} is above {STRONG}",
                reason="strong LoRAs often burn colours and drown the prompt",
                fix="0.8",
                fixed=_replaced(request, number, strength=0.8, te_strength=None),
            )
        ]
    if min(strengths) < 0:
        return [
            Guard(
                code="strength-negative",
                message=f"{use.name} is negative",
                reason="a LoRA that is no slider is seldom trained to be turned around",
                fix=f"{abs(use.strength):g}",
                fixed=_replaced(request, number, strength=abs(use.strength), te_strength=None),
            )
        ]
    return []


def _trigger(request: DrawRequest, use: LoraUse) -> list[Guard]:
    prompt = request.prompt.casefold()
    if not use.trigger_words or any(word.casefold() in prompt for word in use.trigger_words):
        return []
    word = use.trigger_words[0]
    joined = f"{request.prompt}, {word}" if request.prompt else word
    return [
        Guard(
            code="trigger-missing",
            message=f"the prompt has no trigger word of {use.name}",
            reason="it was trained with captions that hold it",
            fix=word,
            fixed=msgspec.structs.replace(request, prompt=joined),
        )
    ]


def _accelerated(request: DrawRequest, use: LoraUse) -> list[Guard]:
    if not any(word in use.name.casefold() for word in _FAST) or (request.cfg <= 2 and request.steps <= 12):
        return []
    return [
        Guard(
            code="accelerated",
            message=f"{use.name} speeds drawing up, but CFG is {request.cfg:g} with {request.steps} steps",
            reason="such LoRAs are made for CFG up to 2 and a dozen steps",
            fix="CFG 1.5, 8 steps",
            fixed=msgspec.structs.replace(request, cfg=1.5, steps=8),
        )
    ]


def _count(request: DrawRequest) -> list[Guard]:
    active = [use for use in request.loras if use.strength or use.text_strength]
    if len(active) <= MANY_LORAS:
        return []
    reason = "their changes add up; look at the combination grid to see which ones matter"
    return [Guard(code="many-loras", message=f"{len(active)} LoRAs at once", reason=reason)]


def _twice(request: DrawRequest) -> list[Guard]:
    names: Sequence[str] = [use.sha256.lower() for use in request.loras]
    doubled = {use.sha256.lower(): use for use in request.loras if names.count(use.sha256.lower()) > 1}
    return [
        Guard(
            code="twice", message=f"{use.name} is in the prompt twice", reason="it cannot be drawn", fix="use it once"
        )
        for use in doubled.values()
    ]
