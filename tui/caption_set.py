"""The captions of a data set as the editor shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubman.train.captioning.tags import TagCount
    from hubman.train.captioning.tokens import TokenRule

MOST_TOKENS = 75
"""What CLIP reads of a caption, where neither recipe nor base says otherwise."""


@dataclass(frozen=True)
class CaptionLine:
    """A picture and its caption."""

    name: str
    path: Path
    caption: str = ""
    problem: str = ""
    """Why its caption file can't be used."""
    is_draft: bool = False
    tokens: int = 0
    """Of its longest line, which is what a training reads at once."""
    too_long: bool = False
    lacks_trigger: bool = False

    @property
    def wanting(self) -> str:
        """What there is to do about it, in a few words."""
        if self.problem:
            return self.problem
        if not self.caption:
            return "no caption"
        said = [f"{self.tokens} tokens" if self.too_long else "", "no trigger" if self.lacks_trigger else ""]
        return ", ".join(word for word in said if word)


@dataclass(frozen=True)
class CaptionSet:
    """All captions of a folder, and how they are measured."""

    folder: Path
    lines: tuple[CaptionLine, ...]
    tags: tuple[TagCount, ...]
    trigger: str
    most: int
    rule: TokenRule
    undoable: tuple[tuple[str, int], ...]
    """What undo takes back, the next one first, and of how many captions."""

    def line(self, name: str, path: Path, caption: str | None, problem: str, *, is_draft: bool) -> CaptionLine:
        """A measured line."""
        text = caption or ""
        tokens = self.tokens(text)
        from hubman.train.captioning.tags import has_trigger

        return CaptionLine(
            name, path, text, problem, is_draft and bool(text), tokens, tokens > self.most,
            bool(text) and not has_trigger(text, self.trigger),
        )  # fmt: skip

    def tokens(self, text: str) -> int:
        return max((self.rule.count(line) for line in text.splitlines()), default=0)

    @property
    def headline(self) -> str:
        """What is wanting in the set."""
        counts = (
            (sum(not line.caption for line in self.lines), "without a caption"),
            (sum(line.too_long for line in self.lines), f"over {self.most} tokens"),
            (sum(line.lacks_trigger for line in self.lines), f"without {self.trigger}"),
            (sum(line.is_draft for line in self.lines), "drafts"),
        )
        return " · ".join(f"{count} {words}" for count, words in counts if count) or "nothing wanting"


def read(folder: Path, trigger: str, base: Path | None, most: int | None = None) -> CaptionSet:
    """Read every caption below ``folder``; tokens are counted by the tokenizer of ``base`` where it has one."""
    from hubman.train.captioning import caption_edits, captions, tags, tokens
    from hubman.train.data.dataset import read_caption

    rule = tokens.token_rule(base) if base is not None else tokens.ESTIMATE
    drafted = captions.drafts(folder)
    empty = CaptionSet(folder, (), (), trigger, rule.most or most or MOST_TOKENS, rule, caption_edits.undoable(folder))
    lines = []
    for name, path in captions.named(folder).items():
        caption, problem = read_caption(path)
        is_draft = path in drafted and not captions.is_typed(path, drafted)
        lines.append(empty.line(name, path, caption, problem, is_draft=is_draft))
    counted = tags.frequencies((line.name, line.caption) for line in lines)
    return replace(empty, lines=tuple(lines), tags=counted)


def token_words(found: CaptionSet, text: str) -> tuple[str, bool]:
    """How many tokens ``text`` has of those that are read, in words; and whether that is too many."""
    count = found.tokens(text)
    about = "" if found.rule.exact else "about "
    return f"{about}{count} of {found.most} tokens", count > found.most


def trigger_words(found: CaptionSet, text: str) -> tuple[str, bool]:
    """Whether the trigger is in ``text``, in words; and whether it is missing."""
    from hubman.train.captioning.tags import trigger_spans

    if not found.trigger:
        return "no trigger word (t)", False
    spans = trigger_spans(text, found.trigger)
    if not spans:
        return f"{found.trigger} is missing", True
    return (f"{found.trigger} first" if spans[0][0] == 0 else f"{found.trigger} inside"), False


def read_to(text: str, most: int, count: Callable[[str], int]) -> int:
    """How many characters of a line are within ``most`` tokens."""
    if count(text) <= most:
        return len(text)
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if count(text[:middle]) <= most:
            low = middle
        else:
            high = middle - 1
    return low
