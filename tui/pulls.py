"""The queue of downloads as a line and as rows: what is on its way, how fast, what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui import formats

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.pull_queue import PullItem

_SMOOTH = 0.4
"""Weight of the newest look in the rate: a connection of a few seconds' unevenness reads calmly."""


@dataclass(frozen=True)
class Pulls:
    """The queue at a moment (``at``, in seconds of a clock that never runs back). ``rate`` is bytes a second."""

    items: tuple[PullItem, ...] = ()
    at: float = 0.0
    rate: float = 0.0

    @property
    def running(self) -> tuple[PullItem, ...]:
        return self._in("running")

    @property
    def is_busy(self) -> bool:
        """Whether something moves, or is about to."""
        return any(item.state in {"running", "queued"} for item in self.items)

    def _in(self, state: str) -> tuple[PullItem, ...]:
        return tuple(item for item in self.items if item.state == state)

    def then(self, items: Sequence[PullItem], at: float) -> Pulls:
        """The queue at a later look."""
        before = {item.id: item.done for item in self.running}
        moved = sum(item.done - before[item.id] for item in items if item.state == "running" and item.id in before)
        elapsed = at - self.at
        running = [item for item in items if item.state == "running"]
        if not running:
            rate = 0.0
        elif elapsed <= 0 or moved < 0 or not before:
            rate = self.rate
        else:
            now = moved / elapsed
            rate = now if not self.rate else self.rate + _SMOOTH * (now - self.rate)
        return Pulls(tuple(items), at, rate)

    def words(self, width: int) -> str:
        """One line of at most about ``width`` cells; empty for an empty queue."""
        counts = [
            (len(self._in("queued")), "waits", "wait"), (len(self._in("paused")), "paused", "paused"),
            (len(self._in("failed")), "failed", "failed"),
        ]  # fmt: skip
        said = [f"{number:,} {one if number == 1 else many}" for number, one, many in counts if number]
        running = self.running
        if not running:
            done = len(self._in("done"))
            return " · ".join([*said, *([f"{done:,} done"] if done and not said else [])])
        first = running[0]
        more = [f"{len(running) - 1} more"] if len(running) > 1 else []
        share = [f"{first.done / first.total:.0%}"] if first.total else []
        rest = " · ".join([*share, *progress(first, self.rate), *more, *said])
        room = max(8, width - len(rest) - 4)
        title = formats.one_line(first.title)
        return f"↓ {title if len(title) <= room else title[: room - 1] + '…'}  {rest}"


def progress(item: PullItem, rate: float) -> list[str]:
    """How far a download is, how fast it goes, and how long it will take."""
    if not item.total:
        return [formats.size(item.done)] if item.done else ["asking"]
    found = [f"{formats.size(item.done)} of {formats.size(item.total)}"]
    if rate > 0:
        found += [f"{formats.size(round(rate))}/s", f"{formats.duration((item.total - item.done) / rate)} left"]
    return found


def read(registry: Registry) -> list[PullItem]:
    """For a thread."""
    from hubman.civitai import queue

    return queue.items(registry)
