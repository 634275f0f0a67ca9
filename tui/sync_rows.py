"""The lines of what waits both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui import formats, sync_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hubman.sync.pending import Pending, Side


@dataclass(frozen=True)
class WaitLine:
    """A heading (no ``mark``), an edit or a file with its size. ``style`` is a component of the list."""

    text: str
    mark: str = ""
    size: str = ""
    style: str = ""


def lines(remote: str, found: Pending | None, problem: str = "", *, is_looking: bool = False) -> list[WaitLine]:
    """Both ways; ``problem`` is why the remote could not be asked."""
    if found is None:
        return [WaitLine(f"{remote} can't be looked at: {problem}", "!", style="bad")] if problem else []
    made = list(_side(f"to {remote}", "↑", found.up))
    made.append(WaitLine(""))
    made += _incoming(remote, found, problem, is_looking=is_looking)
    made += [WaitLine(formats.one_line(text), "!", style="warn") for text in found.problems]
    return made


def _incoming(remote: str, found: Pending, problem: str, *, is_looking: bool) -> Iterator[WaitLine]:
    if problem:
        yield WaitLine(f"from {remote}: it can't be asked", style="strong")
        yield WaitLine(problem, "!", style="bad")
    elif not found.looked_at:
        yield WaitLine(f"from {remote}: {'looking …' if is_looking else 'not looked yet, r looks'}", style="strong")
    else:
        yield from _side(f"from {remote}", "↓", found.down)
    for one in found.unread:
        batches = "1 batch" if one.batches == 1 else f"{one.batches:,} batches"
        if one.problem:
            yield WaitLine(f"{formats.one_line(one.name)} wrote {batches}: {one.problem}", "!", style="warn")
        elif one.batches > one.told:
            told = f"{formats.one_line(one.name)} wrote {batches}, of which {one.told or 'none'} could be told here"
            yield WaitLine(told, "·", style="muted")


def _side(title: str, arrow: str, side: Side) -> Iterator[WaitLine]:
    yield WaitLine(f"{title}: {sync_words.amount(side)}", style="strong")
    for text in side.edits:
        yield WaitLine(formats.one_line(text), arrow)
    for file in side.files:
        size = formats.size(file.size) if file.size else ""
        problem = f"  {formats.one_line(file.problem)}" if file.problem else ""
        yield WaitLine(formats.one_line(file.name) + problem, arrow, size, "warn" if problem else "muted")
    hidden = side.file_count - len(side.files)
    if hidden > 0:
        yield WaitLine(f"and {formats.count(hidden, 'more file')}", arrow, style="muted")
