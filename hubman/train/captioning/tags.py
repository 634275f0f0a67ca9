"""A caption as tags: what stands between its commas, and changes of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Literal

import msgspec

from registry.errors import UsageError

Place = Literal["start", "end", "trigger"]
"""Where a new tag goes; ``trigger`` means right after the trigger word, or first where the caption lacks it."""
PLACES: tuple[Place, ...] = ("start", "end", "trigger")

Rewrite = Callable[[str], str]
"""One line of a caption to what it becomes."""


class TagCount(msgspec.Struct, frozen=True):
    """A tag, in how many captions it stands, and whose they are."""

    tag: str
    count: int
    images: tuple[str, ...]


def split_tags(caption: str) -> list[str]:
    """The parts of a caption between commas and line ends, trimmed, without empty ones."""
    return [tag for tag in (part.strip() for part in re.split(r"[,\n]", caption)) if tag]


def frequencies(captions: Iterable[tuple[str, str]]) -> tuple[TagCount, ...]:
    """The tags of (image, caption) pairs, the commonest first; a tag counts once in a caption, whatever its case."""
    images: dict[str, list[str]] = {}
    spelled: dict[str, Counter[str]] = {}
    for image, caption in captions:
        for tag in dict.fromkeys(tag for line in caption.splitlines() for tag in split_tags(line)):
            key = tag.lower()
            spelled.setdefault(key, Counter())[tag] += 1
            names = images.setdefault(key, [])
            if not names or names[-1] != image:
                names.append(image)
    counts = [TagCount(spelled[key].most_common(1)[0][0], len(names), tuple(names)) for key, names in images.items()]
    return tuple(sorted(counts, key=lambda found: (-found.count, found.tag.lower())))


def has_trigger(caption: str, trigger: str) -> bool:
    """Whether ``trigger`` stands in the caption as words of its own, whatever their case."""
    return bool(_trigger_pattern(trigger).search(caption)) if trigger else True


def trigger_spans(caption: str, trigger: str) -> list[tuple[int, int]]:
    """Where it stands, as (start, end) in characters."""
    return [found.span() for found in _trigger_pattern(trigger).finditer(caption)] if trigger else []


def _trigger_pattern(trigger: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(trigger)}(?!\w)", re.IGNORECASE)


def replacing(old: str, new: str, *, regex: bool = False, ignore_case: bool = False) -> Rewrite:
    r"""Put ``new`` for every ``old``; in a ``regex``, ``\1`` stands for its first group.

    Raises UsageError for an empty or wrong pattern.
    """
    if not old:
        raise UsageError("there is nothing to search for", "give the text that is to be replaced")
    try:
        pattern = re.compile(old if regex else re.escape(old), re.IGNORECASE if ignore_case else 0)
        pattern.sub(new if regex else "", "")
    except (re.error, IndexError) as error:
        raise UsageError(f"the pattern {old!r} or its replacement is wrong ({error})", "correct it") from error
    return lambda line: pattern.sub(new if regex else lambda _: new, line)


def adding(tags: Sequence[str], at: Place = "end", trigger: str = "") -> Rewrite:
    """Put those of ``tags`` in that a caption lacks."""
    wanted = _named(tags)

    def rewrite(line: str) -> str:
        here = split_tags(line)
        known = {tag.lower() for tag in here}
        new = [tag for tag in wanted if tag.lower() not in known]
        if not new:
            return line
        place = {"start": 0, "end": len(here), "trigger": _after_trigger(here, trigger)}[at]
        return ", ".join([*here[:place], *new, *here[place:]])

    return rewrite


def removing(tags: Sequence[str]) -> Rewrite:
    """Take ``tags`` out, whatever their case."""
    gone = {tag.lower() for tag in _named(tags)}
    return lambda line: _kept(line, lambda tag: tag.lower() not in gone)


def renaming(old: str, new: str) -> Rewrite:
    """Write the tag ``new`` in the place of ``old``; where both stand, one stays."""
    (before,), (after,) = _named([old]), _named([new])

    def rewrite(line: str) -> str:
        here = split_tags(line)
        if before.lower() not in {tag.lower() for tag in here}:
            return line
        renamed = [after if tag.lower() == before.lower() else tag for tag in here]
        return ", ".join(_unique(renamed))

    return rewrite


def tidying(*, sort: bool = False, keep: int = 0) -> Rewrite:
    """Take doubles out; ``sort`` puts the tags in the order of the alphabet, after the first ``keep`` ones."""

    def rewrite(line: str) -> str:
        here = _unique(split_tags(line))
        return ", ".join([*here[:keep], *sorted(here[keep:], key=str.lower)] if sort else here)

    return rewrite


def in_turn(rewrites: Sequence[Rewrite]) -> Rewrite:
    """One rewrite after the other."""
    return lambda line: reduce(lambda text, rewrite: rewrite(text), rewrites, line)


def _kept(line: str, wanted: Callable[[str], bool]) -> str:
    here = split_tags(line)
    kept = [tag for tag in here if wanted(tag)]
    return ", ".join(kept) if len(kept) < len(here) else line


def _unique(tags: Iterable[str]) -> list[str]:
    first: dict[str, str] = {}
    for tag in tags:
        first.setdefault(tag.lower(), tag)
    return list(first.values())


def _after_trigger(tags: Sequence[str], trigger: str) -> int:
    return next((at for at, tag in enumerate(tags, 1) if trigger and has_trigger(tag, trigger)), 0)


def _named(tags: Sequence[str]) -> list[str]:
    named = _unique(" ".join(tag.split()) for each in tags for tag in split_tags(each))
    if not named:
        raise UsageError("a tag has no name", "give one with letters, digits or signs, and no comma")
    return named
