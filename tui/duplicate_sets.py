"""The sets of duplicates as lines, with which file of each stays and which sets are marked."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from registry import duplicates

if TYPE_CHECKING:
    from registry.duplicates import Copy, Duplicates, Resolution, Rule


@dataclass(frozen=True)
class SetLine:
    """A set's title (no ``copy``), or one of its files."""

    number: int
    found: Duplicates
    copy: Copy | None = None
    is_kept: bool = False
    is_marked: bool = False


@dataclass(frozen=True)
class Found:
    """What was found, and which file of each set a rule keeps. Made in a thread: there may be thousands."""

    sets: Sequence[Duplicates] = ()
    best: Sequence[Copy] = ()
    ends: Sequence[int] = ()
    """After how many lines each set's lines end."""


def prepared(sets: Sequence[Duplicates], rule: Rule) -> Found:
    best = [duplicates.best(one, rule) for one in sets]
    return Found(sets, best, list(accumulate(len(one.copies) + 1 for one in sets)))


@dataclass
class Sets:
    """What is to become of what was found. Lines are made when they are drawn."""

    found: Found = field(default_factory=Found)
    rule: Rule = "keep-oldest"
    marked: set[int] = field(default_factory=set)
    chosen: dict[int, Copy] = field(default_factory=dict)
    """The file that a person chose to keep, by the number of its set."""

    def show(self, found: Found) -> None:
        self.found = found
        self.marked.clear()
        self.chosen.clear()

    def __len__(self) -> int:
        return len(self.found.sets)

    @property
    def line_count(self) -> int:
        return self.found.ends[-1] if self.found.ends else 0

    def line(self, index: int) -> SetLine:
        number = bisect_right(self.found.ends, index)
        one, is_marked = self.found.sets[number], number in self.marked
        at = index - (self.found.ends[number - 1] if number else 0)
        if at == 0:
            return SetLine(number, one, is_marked=is_marked)
        copy = one.copies[at - 1]
        return SetLine(number, one, copy, copy == self.kept(number), is_marked)

    def kept(self, number: int) -> Copy:
        return self.chosen.get(number) or self.found.best[number]

    @property
    def wanted(self) -> Iterable[int]:
        """The numbers of the marked sets, or of all where none is marked."""
        return sorted(self.marked) if self.marked else range(len(self))

    def plan(self) -> list[Resolution]:
        """Looks at every file of the wanted sets; for a thread."""
        return [duplicates.keeping(self.found.sets[number], self.kept(number)) for number in self.wanted]

    def extra(self) -> int:
        """How many files do not stay."""
        return sum(len(self.found.sets[number].copies) - 1 for number in self.wanted)
