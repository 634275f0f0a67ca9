"""Axes over the LoRAs of a request: strengths, files, sets of them, blocks, and the steps in which they act."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import combinations
from typing import Literal

import msgspec

from hubman.generate.axes import Axis, Cost, Point, Stage
from hubman.generate.prompt_tags import format_number
from hubman.generate.request import DrawRequest, LoraUse, check
from registry.errors import UsageError

Part = Literal["both", "unet", "te"]
Sets = Literal["subsets", "alone", "pairs", "all-but-one", "all"]

MAX_IN_SUBSETS = 6
"""LoRAs of which all subsets are drawn: 64 of them."""


def lora_index(request: DrawRequest, name: str) -> int:
    """Where the LoRA stands in ``request.loras`` that has this name or hash, or this place (``#1``, ``#2``, …).

    An empty name means the only one. Raises ``UsageError`` if there is none or more than one.
    """
    folded = name.casefold()
    exact = [i for i, use in enumerate(request.loras) if name in {use.name, use.sha256, f"#{i + 1}"}]
    found = exact or [i for i, use in enumerate(request.loras) if not name or use.name.casefold() == folded]
    if len(found) == 1:
        return found[0]
    known = ", ".join(use.name for use in request.loras) or "none"
    if not name:
        raise UsageError("the axis does not say which LoRA it means", f"the prompt has {known}")
    raise UsageError(f"LoRA {name} is {'twice' if found else 'not'} in the prompt", f"it has {known}")


def with_use(request: DrawRequest, number: int, use: LoraUse) -> DrawRequest:
    """``request`` with another use of LoRA ``number``."""
    loras = (*request.loras[:number], use, *request.loras[number + 1 :])
    return msgspec.structs.replace(request, loras=loras)


def with_strength(request: DrawRequest, number: int, value: float, part: Part = "both") -> DrawRequest:
    """``request`` with another strength of LoRA ``number``."""
    use = request.loras[number]
    if part == "both":
        changed = msgspec.structs.replace(use, strength=value, te_strength=None)
    elif part == "unet":
        changed = msgspec.structs.replace(use, strength=value, te_strength=use.text_strength)
    else:
        changed = msgspec.structs.replace(use, te_strength=value)
    return with_use(request, number, changed)


def strength_axis(request: DrawRequest, name: str, values: Sequence[float], part: Part = "both") -> Axis:
    """The strength of the LoRA ``name`` of ``request``: both parts, the UNet's, or the text encoder's."""
    number = lora_index(request, name)
    shown = request.loras[number].name
    points = [
        Point(format_number(value), partial(with_strength, number=number, value=value, part=part)) for value in values
    ]
    parts = ("unet", "te") if part == "both" else (part,)
    return Axis(
        shown if part == "both" else f"{shown} {part}",
        tuple(points),
        kind="strength" if part == "both" else part,
        target=shown,
        sets=frozenset(f"the {each} strength of {shown}" for each in parts),
    )


def ratio_axis(request: DrawRequest, first: str, second: str, total: float, shares: Sequence[float]) -> Axis:
    """Two LoRAs whose strengths add up to ``total``: each share (0..1) is the first one's part of it."""
    a, b = lora_index(request, first), lora_index(request, second)
    names = request.loras[a].name, request.loras[b].name
    if a == b:
        raise UsageError(f"a ratio of {names[0]} to itself", "name two LoRAs")

    def split(r: DrawRequest, strength: float) -> DrawRequest:
        # Ten decimals: 1.0 - 0.9 is 0.1, and the same cell as one that was asked for by 0.1.
        return with_strength(with_strength(r, a, strength), b, round(total - strength, 10))

    strengths = [round(total * share, 10) for share in shares]
    points = [
        Point(f"{format_number(each)}:{format_number(round(total - each, 10))}", partial(split, strength=each))
        for each in strengths
    ]
    sets = frozenset(f"the {part} strength of {name}" for name in names for part in ("unet", "te"))
    return Axis(f"{names[0]} : {names[1]}", tuple(points), kind="ratio", target=" : ".join(names), sets=sets)


def lora_axis(request: DrawRequest, name: str, files: Sequence[LoraUse]) -> Axis:
    """Other files in the place of LoRA ``name``, such as the epochs of a training, at its strengths and steps.

    Raises ``UsageError`` for a file that is in another place of the prompt.
    """
    number = lora_index(request, name)
    shown = request.loras[number].name
    for file in files:
        if any(file.sha256 == use.sha256 for i, use in enumerate(request.loras) if i != number):
            raise UsageError(f"{file.name} is in the prompt already", f"leave it out of the files for {shown}")

    def swap(r: DrawRequest, file: LoraUse) -> DrawRequest:
        old = r.loras[number]
        words = {name: getattr(file, name) for name in ("path", "name", "sha256", "trigger_words", "slider")}
        return with_use(r, number, msgspec.structs.replace(old, **words))

    points = tuple(Point(file.name, partial(swap, file=file)) for file in files)
    sets = frozenset({f"the file of {shown}"})
    return Axis("LoRA", points, kind="lora", target=shown, cost=Cost.FILES, stage=Stage.FILES, sets=sets)


def combination_axis(request: DrawRequest, which: Iterable[Sets] = ("alone", "all-but-one", "all")) -> Axis:
    """Sets of the request's LoRAs, the others switched off; none of them comes first.

    Raises ``UsageError`` for subsets of more than six.
    """
    names = [use.name for use in request.loras]
    chosen: dict[tuple[int, ...], None] = {(): None}
    for word in which:
        for size in _sizes(word, len(names)):
            chosen |= dict.fromkeys(combinations(range(len(names)), size))

    def keep(r: DrawRequest, kept: tuple[int, ...]) -> DrawRequest:
        for number in range(len(r.loras)):
            if number not in kept:
                r = with_strength(r, number, 0.0)
        return r

    points = [Point(_set_name(names, kept), partial(keep, kept=kept)) for kept in chosen]
    return Axis("LoRAs", tuple(points), kind="combine", stage=Stage.SETS, sets=frozenset({"which LoRAs are on"}))


def _sizes(word: Sets, count: int) -> Sequence[int]:
    if word == "subsets":
        if count > MAX_IN_SUBSETS:
            raise UsageError(f"all subsets of {count} LoRAs are {2**count} cells", "take pairs or all-but-one")
        return range(1, count + 1)
    return {"alone": [1], "pairs": [2], "all-but-one": [count - 1], "all": [count]}[word]


def _set_name(names: Sequence[str], kept: Sequence[int]) -> str:
    if kept and len(kept) == len(names):
        return "all" if len(names) > 2 else " + ".join(names)
    if len(names) > 3 and len(kept) == len(names) - 1:
        return "without " + next(name for i, name in enumerate(names) if i not in kept)
    return " + ".join(names[i] for i in kept) or "none"


def step_axis(request: DrawRequest, name: str, field: Literal["start", "stop"], values: Sequence[int]) -> Axis:
    """The sampling step from which, or until which, a LoRA acts."""
    number = lora_index(request, name)
    shown = request.loras[number].name
    if min(values) < 0:
        raise UsageError(f"{field} is {min(values)}", "steps count from 0")

    def put(r: DrawRequest, value: int) -> DrawRequest:
        return with_use(r, number, msgspec.structs.replace(r.loras[number], **{field: value}))

    points = tuple(Point(str(value), partial(put, value=value)) for value in values)
    return Axis(f"{shown} {field}", points, kind=field, target=shown, sets=frozenset({f"the {field} of {shown}"}))


def blocks_axis(request: DrawRequest, name: str, values: Sequence[str]) -> Axis:
    """Block weights of a LoRA: names of presets or lists of numbers, ``none`` for 1 everywhere.

    Raises ``UsageError`` for one that is unknown.
    """
    number = lora_index(request, name)
    shown = request.loras[number].name

    def put(r: DrawRequest, value: str) -> DrawRequest:
        return with_use(r, number, msgspec.structs.replace(r.loras[number], blocks="" if value == "none" else value))

    for value in values:
        check(put(request, value))
    points = tuple(Point(value, partial(put, value=value)) for value in values)
    return Axis(f"{shown} blocks", points, kind="blocks", target=shown, sets=frozenset({f"the blocks of {shown}"}))
