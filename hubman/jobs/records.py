"""A job as others see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: frozenset[State] = frozenset(("done", "failed", "cancelled"))

PREVIEWS = "previews"
"""The folder, in that of a drawing job: ``<key>.png`` shows what a picture that is being drawn is going to be."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``jobs``. ``request`` says what to do, ``result`` what came of it; both hold no secret."""

    id: str
    kind: str
    title: str
    state: State
    folder: str
    request: dict[str, Any]
    pid: int | None = None
    pid_started: float | None = None
    error: str | None = None
    result: dict[str, Any] | None = None
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None

    @property
    def events_path(self) -> Path:
        return Path(self.folder) / "events.jsonl"

    @property
    def log_path(self) -> Path:
        return Path(self.folder) / "log.txt"

    @property
    def stop_path(self) -> Path:
        """The file whose existence asks the job to stop at the next safe point."""
        return Path(self.folder) / "stop"

    @property
    def pause_path(self) -> Path:
        """The file whose existence asks the job to wait at the next safe point, with all that it has loaded."""
        return Path(self.folder) / "pause"

    @property
    def paused(self) -> bool:
        """Whether it was asked to wait and has not ended."""
        return not self.ended and self.pause_path.exists()

    @property
    def ended(self) -> bool:
        return self.state in ENDED
