"""A remark on a prompt: where, what, and what would put it right."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lint:
    """``at`` is a position in the text as typed; ``code`` is stable, ``message`` and ``fix`` are for people."""

    at: int
    code: str
    message: str
    fix: str = ""
