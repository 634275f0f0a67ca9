"""What a guard rail says: what may go wrong, why, and what one key would do about it. It never changes anything itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec

from hubman.generate.request import DrawRequest, LoraUse

Subject = TypeVar("Subject")
Level = Literal["warning", "error"]


@dataclass(frozen=True)
class Guard(Generic[Subject]):
    """A remark on a :class:`DrawRequest` or on a :class:`~hubman.generate.guards.grids.Plan`.

    ``code`` is stable. ``mend`` is a pure function that applies the fix, which ``fix`` names; it may be given a subject
    that was changed meanwhile. ``about`` holds the SHA-256s (lower case) of the LoRAs that are meant. An ``error`` is
    what no engine could draw.
    """

    code: str
    message: str
    reason: str
    fix: str = ""
    mend: Callable[[Subject], Subject] | None = None
    level: Level = "warning"
    about: tuple[str, ...] = ()

    def told(self) -> dict[str, str]:
        """For JSON."""
        return {
            "code": self.code,
            "level": self.level,
            "message": self.message,
            "reason": self.reason,
            "fix": self.fix,
        }

    def __str__(self) -> str:
        fix = f" (fix: {self.fix})" if self.fix else ""
        return f"{self.message}: {self.reason}{fix}"


Mend = Callable[[DrawRequest], DrawRequest]


def changed(sha256: str, /, **changes: Any) -> Mend:
    """Set fields of the use of one LoRA."""

    def mend(request: DrawRequest) -> DrawRequest:
        loras = [
            msgspec.structs.replace(use, **changes) if use.sha256.lower() == sha256 else use for use in request.loras
        ]
        return msgspec.structs.replace(request, loras=tuple(loras))

    return mend


def without(*hashes: str) -> Mend:
    """Take LoRAs out."""

    def mend(request: DrawRequest) -> DrawRequest:
        loras = tuple(use for use in request.loras if use.sha256.lower() not in hashes)
        return msgspec.structs.replace(request, loras=loras)

    return mend


def scaled(factor: float) -> Mend:
    """Multiply all strengths, to two decimals."""

    def scale(use: LoraUse) -> LoraUse:
        te = None if use.te_strength is None else round(use.te_strength * factor, 2)
        return msgspec.structs.replace(use, strength=round(use.strength * factor, 2), te_strength=te)

    def mend(request: DrawRequest) -> DrawRequest:
        return msgspec.structs.replace(request, loras=tuple(map(scale, request.loras)))

    return mend


def on(request: DrawRequest) -> list[LoraUse]:
    """The LoRAs that do something."""
    return [use for use in request.loras if use.strength or use.text_strength]


def reach(use: LoraUse) -> float:
    """The larger of its strengths, without sign."""
    return max(abs(use.strength), abs(use.text_strength))
