"""What a check finds, and what it means for the person who asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

Level = Literal["note", "repairable", "missing"]
Kind = Literal["", "head", "hole", "absent", "spoiled"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it should be. ``missing`` data is nowhere to be had; a ``note`` needs nothing done."""

    level: Level
    about: str
    """The object, file or device, as a person knows it."""
    message: str
    remedy: str = ""
    """What a repair does about it."""
    kind: Kind = ""
    """For a repair: a damaged head, a log with a lost or damaged batch, a blob that is absent or whose bytes are wrong."""
    subject: str = ""
    """For a repair: the device of a head, the hole in a log, the SHA-256 of a blob."""

    def __str__(self) -> str:
        return f"{self.level}: {self.about}: {self.message}" + (f" ({self.remedy})" if self.remedy else "")


def exit_status(findings: Iterable[Finding]) -> int:
    """0 clean (notes or nothing), 1 something can be mended, 2 data is missing."""
    levels = {finding.level for finding in findings}
    return 2 if "missing" in levels else 1 if "repairable" in levels else 0
