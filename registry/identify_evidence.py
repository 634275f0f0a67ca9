"""What was found out of a file, with the reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """A finding and why it holds."""

    value: str
    reason: str


@dataclass(frozen=True)
class Family:
    """An architecture with its reason, and which member of it, where names or widths tell.

    It is a guess where names and widths fit several and this is the commonest.
    """

    architecture: str
    reason: str
    variant: Evidence | None = None
    is_guess: bool = False
