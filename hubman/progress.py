"""How a verb tells what it is doing: one record, sent to whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


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


def silent(_progress: Progress) -> None:
    """Watch nothing."""
