"""``<lora:name:0.8>`` tags: cut out of a prompt before anything else is read, and written back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from hubman.generate.lint import Lint
from hubman.generate.prompt_tag_args import Arguments, read_arguments

OPENING = "<lora:"
_UNWRITABLE = re.compile(r"[<>:,\x00-\x1f\x7f]")


@dataclass(frozen=True)
class LoraTag:
    """A tag as written. Strengths are as A1111 reads them: one number sets both, two are text encoder first."""

    name: str
    te: float = 1.0
    unet: float = 1.0
    start: int = 0
    stop: int | None = None
    rank: int | None = None
    """Truncate to this rank (``dyn=``)."""
    block_weights: str = ""
    """A preset name or a list of numbers (``lbw=``), not yet interpreted."""

    def __str__(self) -> str:
        """The shortest spelling that A1111 and its extensions read the same way."""
        args = (
            [format_number(self.te)]
            if self.te == self.unet
            else [f"te={format_number(self.te)}", f"unet={format_number(self.unet)}"]
        )
        if self.rank is not None:
            args.append(f"dyn={self.rank}")
        if self.block_weights:
            args.append(f"lbw={self.block_weights}")
        if self.start:
            args.append(f"start={self.start}")
        if self.stop is not None:
            args.append(f"stop={self.stop}")
        return f"{OPENING}{self.name}:{':'.join(args)}>"


def format_number(value: float) -> str:
    """A finite number without exponent or trailing zeros, exactly: 0.8, -1, 0.00001."""
    text = format(Decimal(repr(float(value))), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def tag_name(name: str) -> str:
    """The nearest name that a tag and the list ``Lora hashes`` can hold: without ``<>:,`` and control characters."""
    return _UNWRITABLE.sub("_", name).strip() or "_"


@dataclass(frozen=True)
class Cut:
    """A prompt taken apart: the text without tags, the tags in order, and where in the typed text each one stood."""

    text: str
    tags: tuple[LoraTag, ...]
    spans: tuple[tuple[int, int], ...]
    lints: tuple[Lint, ...]

    def typed_position(self, at: int) -> int:
        """The position in the typed text of character ``at`` of ``text``."""
        for start, end in self.spans:
            if start > at:
                break
            at += end - start
        return at

    def typed_end(self, at: int) -> int:
        """The position in the typed text right behind character ``at - 1`` of ``text``, before any tag there."""
        return self.typed_position(at - 1) + 1 if at else 0

    def places(self) -> tuple[int, ...]:
        """For each tag the position in ``text`` that it stood before."""
        cut, found = 0, []
        for start, end in self.spans:
            found.append(start - cut)
            cut += end - start
        return tuple(found)


def cut_tags(text: str) -> Cut:
    """Cut out the tags; one inside emphasis or a schedule is cut like any other, as in A1111. Linear in the text."""
    tags: list[LoraTag] = []
    lints: list[Lint] = []
    spans: list[tuple[int, int]] = []
    rest: list[str] = []
    behind, at, close = 0, text.find(OPENING), -1
    while at >= 0:
        close = close if close > at else text.find(">", at)
        if close < 0:
            break
        start = at + len(OPENING)
        has_name = text[start] not in ":>"
        if has_name:
            name, *args = text[start:close].split(":")
            read = read_arguments(args, start + len(name) + 1, f"{OPENING}{name}…>")
            tags.append(_tag(name, read))
            lints += read.lints
            spans.append((at, close + 1))
            rest.append(text[behind:at])
            behind = close + 1
        at = text.find(OPENING, close + 1 if has_name else start)
    rest.append(text[behind:])
    return Cut("".join(rest), tuple(tags), tuple(spans), tuple(lints))


def _tag(name: str, read: Arguments) -> LoraTag:
    return LoraTag(name, read.te, read.unet, read.start, read.stop, read.rank, read.block_weights)
