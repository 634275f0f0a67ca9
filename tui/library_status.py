"""The library's line of status: what is marked, when the disk was looked at, what is under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from registry import timestamps
from registry.errors import HubError
from tui import formats

if TYPE_CHECKING:
    from tui.services.index_state import IndexState
    from tui.services.watch import Snapshot

LOADING = frozenset(("downloads", "sync", "fetch"))
"""Kinds of jobs that move bytes over the network."""


@dataclass
class Speed:
    """How fast the queue of downloads goes, from what its jobs report between two looks."""

    _seen: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Job to (seconds on a clock, bytes done) when it was first seen at its present file."""
    bytes_a_second: float = 0.0
    jobs: int = 0

    def look(self, snapshot: Snapshot, at: float) -> None:
        """Take what the jobs report ``at`` this many seconds of a clock that never goes back."""
        now = _bytes_done(snapshot)
        speeds = [
            (done - self._seen[job][1]) / (at - self._seen[job][0])
            for job, done in now.items()
            if job in self._seen and at > self._seen[job][0] and done >= self._seen[job][1]
        ]
        self.bytes_a_second = sum(speeds)
        self.jobs = sum(view.job.kind in LOADING for view in snapshot.active)
        began = {job: seen for job, seen in self._seen.items() if job in now and now[job] >= seen[1]}
        self._seen = {job: began.get(job, (at, done)) for job, done in now.items()}

    @property
    def words(self) -> str:
        if not self.jobs:
            return ""
        speed = f" {formats.size(int(self.bytes_a_second))}/s" if self.bytes_a_second else ""
        return f"↓ {self.jobs}{speed}"


def _bytes_done(snapshot: Snapshot) -> Mapping[str, float]:
    return {
        view.job.id: view.progress.done
        for view in snapshot.active
        if view.job.kind in LOADING and view.progress is not None and view.progress.unit == "B"
    }


def budget_words(home: Path) -> str:
    """What is left of the machine's allowance for Civitai's API; empty when it is whole or nobody can tell."""
    from hubman.civitai import budget

    try:
        found = budget.read(home)
    except HubError:
        return ""
    if found.paused_for:
        return f"API waits {found.paused_for:.0f} s" + (f" ({found.why})" if found.why else "")
    return f"API {found.left:,} of {found.limit:,}" if found.left < found.limit else ""


def index_words(state: IndexState) -> str:
    """What the watching of the folders does, or why it can't."""
    if state.problem:
        return state.problem
    if state.stage and state.total:
        return f"{state.stage} {state.done:,} of {state.total:,}"
    return f"{state.waiting:,} to hash" if state.waiting else ""


def seconds_since(checked_at: str, state: IndexState, now: float) -> float | None:
    """How long ago the disk was looked at: as the registry remembers it, or as the watcher just told."""
    ages = [(formats.now() - timestamps.parse(checked_at)).total_seconds()] if checked_at else []
    ages += [now - state.checked_at] if state.checked_at is not None else []
    return min(ages, default=None)


def is_due(ticks: int, seconds: float | None) -> bool:
    """Whether the age is to be shown again after so many seconds on a clock: at first each second, then each ten."""
    return ticks % 10 == 0 or (seconds is not None and seconds < 11)


def line(total: int, seconds: float | None, marked: int, marked_bytes: int, *, others: tuple[str, ...] = ()) -> str:
    """The parts that have something to say, the most pressing first: a narrow screen cuts the end.

    ``seconds`` is how long ago the disk was looked at, None for never.
    """
    marks = f"{marked:,} marked, {formats.size(marked_bytes)}" if marked else ""
    return " · ".join(part for part in (marks, *others, _checked(total, seconds)) if part)


def _checked(total: int, seconds: float | None) -> str:
    models = formats.count(total, "model")
    if seconds is None:
        return f"{models}, never checked (R)" if total else ""
    return f"{models}, checked {formats.ago(seconds)} ago"
