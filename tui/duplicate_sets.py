"""The sets of duplicates as lines, with which file of each stays and which sets are marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
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


@dataclass
class Sets:
    """What was found, and what is to become of it."""

    found: Sequence[Duplicates] = ()
    rule: Rule = "keep-oldest"
    marked: set[int] = field(default_factory=set)
    chosen: dict[int, Copy] = field(default_factory=dict)
    """The file that a person chose to keep, by the number of its set."""

    def show(self, found: Sequence[Duplicates]) -> None:
        self.found = found
        self.marked.clear()
        self.chosen.clear()

    def kept(self, number: int) -> Copy:
        return self.chosen.get(number) or duplicates.best(self.found[number], self.rule)

    def lines(self) -> Iterator[SetLine]:
        for number, one in enumerate(self.found):
            kept, is_marked = self.kept(number), number in self.marked
            yield SetLine(number, one, is_marked=is_marked)
            for copy in one.copies:
                yield SetLine(number, one, copy, copy == kept, is_marked)

    def plan(self) -> list[Resolution]:
        """Of the marked sets, or of all where none is marked."""
        numbers: Iterable[int] = sorted(self.marked) if self.marked else range(len(self.found))
        return [duplicates.keeping(self.found[number], self.kept(number)) for number in numbers]
