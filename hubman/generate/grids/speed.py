"""How fast this machine draws: seconds a sampling step by base and size, kept beside the pictures."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from hubman.generate.files import replace_file
from hubman.generate.request import DrawRequest
from registry.errors import HubError

SPEED_FILE = "speed.json"


def learn(store: Path, timed: Iterable[tuple[DrawRequest, float]]) -> None:
    """Remember how long pictures took. A disk that refuses costs the forecast, not the pictures."""
    measured: dict[str, list[float]] = {}
    for request, seconds in timed:
        measured.setdefault(_what(request), []).append(seconds / request.steps)
    if not measured:
        return
    known = _known(store)
    for what, each in measured.items():
        # Half of what was known: one run beside other work does not spoil the forecast for long.
        now = statistics.median(each)
        known[what] = round((known[what] + now) / 2 if what in known else now, 6)
    with suppress(HubError):
        replace_file(store / SPEED_FILE, lambda file: file.write(msgspec.json.encode(known)))


def forecast(store: Path, requests: Sequence[DrawRequest]) -> float | None:
    """Seconds that drawing ``requests`` would take; None if nothing like one of them was drawn here before."""
    known = _known(store)
    each = [(known.get(_what(request)), request.steps) for request in requests]
    if any(speed is None for speed, _ in each):
        return None
    return sum((speed or 0.0) * steps for speed, steps in each)


def _known(store: Path) -> dict[str, float]:
    try:
        return msgspec.json.decode((store / SPEED_FILE).read_bytes(), type=dict[str, float])
    except (OSError, msgspec.MsgspecError):
        return {}


def _what(request: DrawRequest) -> str:
    """What decides the seconds of a step: base, size, whether twice as much is computed for guidance, how LoRAs act."""
    size = f"{request.width}x{request.height}" if request.width and request.height else "own size"
    second = f" then {request.hires.scale:g}x {request.hires.width}x{request.hires.height}" if request.hires else ""
    guided = "plain" if request.cfg <= 1 else "guided"
    return f"{Path(request.base).name} {size}{second} {guided} {request.mode}"
