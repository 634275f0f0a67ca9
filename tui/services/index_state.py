"""How the index stands to the disk, as ``hubman watch --json`` tells it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

_STAGES = {"looking": "looking", "listing": "listing", "describing": "reading notes", "hashing": "hashing"}


@dataclass(frozen=True)
class IndexState:
    """How the index stands to the disk. ``checked_at`` is a monotonic time, None before the first look; ``stage`` names
    what is under way, with ``done`` of ``total`` files; ``waiting`` files are listed and not hashed.
    """

    models: int = 0
    checked_at: float | None = None
    seconds: float = 0.0
    waiting: int = 0
    stage: str = ""
    done: int = 0
    total: int = 0
    problem: str = ""


def told(state: IndexState, line: bytes, now: float) -> IndexState:
    """``state`` after a line of ``hubman watch --json``; what is no such line changes nothing."""
    import msgspec

    try:
        event: Any = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return state
    match event:
        case {"models": int(models), "waiting": int(waiting), "seconds": float(seconds), "problem": str(problem)}:
            return IndexState(models, now, seconds, waiting, problem=problem)
        case {"stage": str(stage), "done": int(done), "total": int(total)}:
            ended = done >= total
            return replace(state, stage="" if ended else _STAGES.get(stage, stage), done=done, total=total)
    return state
