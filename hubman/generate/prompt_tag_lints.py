"""What about the tags of a prompt does not do what it seems to: misspelt, doubled, or inside brackets that do not reach them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from hubman.generate.lint import Edit, Lint
from hubman.generate.prompt_emphasis import Pair, brackets
from hubman.generate.prompt_parts import parts
from hubman.generate.prompt_schedule import Construct, read, step_of
from hubman.generate.prompt_tags import OPENING, Cut, LoraTag

_BEGINNING = re.compile(r"<\s{0,9}(?:lora|lyco)\s{0,9}:\s{0,9}", re.IGNORECASE)
_UNCLOSED = re.compile(r"[^:<>\n]{1,300}(?::[^:<>\s,]{1,200}){1,12}|[^:<>\s,]{1,300}")


def lint_tags(typed: str, cut: Cut, steps: int | None) -> tuple[Lint, ...]:
    """Remarks on what :func:`cut_tags` found and missed; ``steps`` of the picture, where known."""
    found = [*cut.lints, *_misspelt(typed, cut), *_doubled(typed, cut), *_bracketed(cut, steps)]
    for tag, span in zip(cut.tags, cut.spans, strict=True):
        if steps is not None and tag.start >= steps:
            message = f"<lora:{tag.name}…> is never on: it starts at step {tag.start} of {steps}"
            found.append(Lint(*span, "never-on", message))
    return tuple(found)


def _misspelt(typed: str, cut: Cut) -> Iterator[Lint]:
    inside = iter(cut.spans)
    span = next(inside, None)
    last = typed.rfind(">")
    for match in _BEGINNING.finditer(typed):
        while span is not None and span[1] <= match.start():
            span = next(inside, None)
        if span is None or match.start() < span[0]:
            yield _misspelt_at(typed, match, has_end=last >= match.end())
        elif match.start() > span[0]:
            message = "a LoRA tag begins inside another, which has no '>'"
            at = len(typed[: match.start()].rstrip())
            yield Lint(match.start(), match.end(), "unclosed-tag", message, Edit(at, at, ">"))


def _misspelt_at(typed: str, match: re.Match[str], *, has_end: bool) -> Lint:
    start, end = match.span()
    if match[0].rstrip() != OPENING:
        message = f"{match[0].strip()} begins no LoRA tag, so it is plain text"
        return Lint(start, end, "near-miss", message, Edit(start, end, OPENING))
    body = _UNCLOSED.match(typed, end)
    if has_end or body is None:
        message = "a LoRA tag without a name is plain text"
        close = typed.find(">", end, end + 100)
        stop = close + 1 if has_end and close >= 0 else end
        return Lint(start, stop, "near-miss", message, Edit(start, stop, ""))
    message = f"{typed[start : body.end()]} is plain text: the tag has no '>'"
    at = len(typed[: body.end()].rstrip())
    return Lint(start, body.end(), "unclosed-tag", message, Edit(at, at, ">"))


def _doubled(typed: str, cut: Cut) -> Iterator[Lint]:
    first: dict[str, int] = {}
    for number, tag in enumerate(cut.tags):
        if tag.name not in first:
            first[tag.name] = number
            continue
        other, begin = cut.tags[first[tag.name]], cut.spans[first[tag.name]]
        start, end = cut.spans[number]
        both = replace(other, te=_sum(other.te, tag.te), unet=_sum(other.unet, tag.unet))
        message = f"LoRA {tag.name} is in the prompt already: both together are {both}"
        edit = Edit(begin[0], end, f"{both}{typed[begin[1] : start]}")
        yield Lint(start, end, "twice", message, edit, is_error=True)


def _sum(first: float, second: float) -> float:
    """Without the rounding of binary fractions: 0.1 and 0.2 are 0.3."""
    return float(Decimal(repr(first)) + Decimal(repr(second)))


# brackets around tags ---------------------------------------------------------------------------------------------


def _bracketed(cut: Cut, steps: int | None) -> Iterator[Lint]:
    if not cut.tags:
        return
    places = cut.places()
    for part in parts(cut.text):
        inside = [number for number, place in enumerate(places) if part.at < place < part.at + len(part.text)]
        if inside:
            at = [places[number] - part.at for number in inside]
            yield from _in_schedules(cut, part.text, part.at, inside, at, steps)
            yield from _in_emphasis(cut, part.text, part.at, inside, at)


def _in_schedules(
    cut: Cut, text: str, offset: int, numbers: Sequence[int], places: Sequence[int], steps: int | None
) -> Iterator[Lint]:
    """``[<lora:a:1>:10]``: A1111 takes the tag out first, so the LoRA is on for the whole run."""
    taken: set[int] = set()
    for construct in read(text).constructs:
        mine = [
            (number, place)
            for number, place in zip(numbers, places, strict=True)
            if construct.start < place < construct.end and number not in taken
        ]
        taken |= {number for number, _ in mine}
        if mine:
            yield _in_schedule(cut, text, offset, construct, mine, steps)


def _in_schedule(
    cut: Cut, text: str, offset: int, construct: Construct, mine: Sequence[tuple[int, int]], steps: int | None
) -> Lint:
    start, end = cut.typed_position(offset + construct.start), cut.typed_end(offset + construct.end)
    kind = "schedule" if construct.when else "alternation"
    names = ", ".join(f"<lora:{cut.tags[number].name}…>" for number, _ in mine)
    message = f"the {kind} around {names} does not act on it: the LoRA is on for the whole run"
    has_step = construct.when and ("." not in construct.when or steps is not None)
    if not has_step:
        return Lint(start, end, "tag-in-schedule", message)
    when = step_of(construct.when, steps if steps is not None else 1000)
    words = any(text[a:b].strip() for a, b in construct.fields)
    rest = [text[construct.start : construct.end]] if words else []
    tags = [str(_scheduled(cut.tags[number], construct, place, when)) for number, place in mine]
    return Lint(start, end, "tag-in-schedule", message, Edit(start, end, " ".join([*rest, *tags])))


def _scheduled(tag: LoraTag, construct: Construct, place: int, when: int) -> LoraTag:
    """The tag as the schedule means it: what goes has a ``stop``, what comes has a ``start``."""
    goes = len(construct.fields) == 2 and place <= construct.fields[0][1]
    if goes:
        return replace(tag, stop=when if tag.stop is None else min(tag.stop, when))
    return replace(tag, start=max(tag.start, when))


def _in_emphasis(cut: Cut, text: str, offset: int, numbers: Sequence[int], places: Sequence[int]) -> Iterator[Lint]:
    """``(<lora:a:0.8>:1.2)``: nothing but a tag inside brackets, whose weight does not reach it."""
    schedules = {(construct.start, construct.end) for construct in read(text).constructs}
    taken: set[int] = set()
    for pair in brackets(text).pairs:
        inside = text[pair.start + 1 : pair.inner_end]
        if (pair.start, pair.end) in schedules or inside.strip():
            continue
        mine = [
            number
            for number, place in zip(numbers, places, strict=True)
            if pair.start < place < pair.end and number not in taken
        ]
        taken |= set(mine)
        if mine:
            yield _weighted(cut, offset, pair, mine)


def _weighted(cut: Cut, offset: int, pair: Pair, mine: Sequence[int]) -> Lint:
    start, end = cut.typed_position(offset + pair.start), cut.typed_end(offset + pair.end)
    names = ", ".join(f"<lora:{cut.tags[number].name}…>" for number in mine)
    message = f"the weight {pair.factor:g} around {names} does not change the LoRA"
    tags = [cut.tags[number] for number in mine]
    text = " ".join(str(replace(t, te=_times(t.te, pair.factor), unet=_times(t.unet, pair.factor))) for t in tags)
    return Lint(start, end, "tag-in-emphasis", message, Edit(start, end, text))


def _times(strength: float, factor: float) -> float:
    return round(strength * factor, 4)
