"""How a verb tells what it is doing: one record, sent to whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from registry.errors import CancelledError


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step of long work. ``done`` and ``total`` count ``unit``s; a total of 0 means unknown."""

    stage: str
    done: float = 0
    total: float = 0
    unit: str = ""
    message: str = ""
    data: dict[str, Any] = {}
    """Values for a plot or a log, such as ``{"step": 12, "loss": 0.031}`` or ``{"image": "path"}``."""


Report = Callable[[Progress], None]


def stoppable(report: Report, should_stop: Callable[[], bool]) -> Report:
    """``report``, except that it raises :class:`CancelledError` once ``should_stop`` says so.

    For work that is safe to leave wherever it tells of itself, because the same call goes on from there.
    """

    def told(event: Progress) -> None:
        if should_stop():
            raise CancelledError("stopped", "the same command goes on from here")
        report(event)

    return told


def silent(_progress: Progress) -> None:
    """Watch nothing."""


def never() -> bool:
    """Ask nobody whether to stop."""
    return False
