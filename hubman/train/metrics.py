"""The loss curve of a run: one JSON line a step in ``metrics.jsonl``, and a line for each validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from hubman.train.files import write_atomically
from registry.errors import HubError


class Metrics:
    """The file, opened for appending."""

    def __init__(self, path: Path, keep_steps: int) -> None:
        """Keep the lines of the first ``keep_steps`` steps, which a resumed run does not repeat."""
        self.path = path
        kept = [line for line in read_metrics(path) if line["step"] <= keep_steps] if keep_steps else []
        write_atomically(path, b"".join(msgspec.json.encode(line) + b"\n" for line in kept))
        self._losses: list[float] = [line["loss"] for line in kept if "loss" in line]
        self.smooth: float | None = next((line["smooth"] for line in reversed(kept) if "smooth" in line), None)
        """The smoothed loss of the last line that was kept."""

    def add(self, lines: list[dict[str, Any]]) -> None:
        """Append ``lines``; each has a ``step``, and a ``loss`` and ``lr`` or a ``validation``."""
        try:
            with self.path.open("ab") as file:
                file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        except OSError as error:
            raise HubError(
                f"cannot write {self.path} ({error.strerror})", "check the free space, then resume"
            ) from error
        self._losses += [line["loss"] for line in lines if "loss" in line]

    def final_loss(self) -> float:
        """Mean of the last tenth of the steps; 0 if their lines were lost."""
        tail = self._losses[-max(1, len(self._losses) // 10) :]
        return sum(tail) / len(tail) if tail else 0.0


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file; what a crash cut off is passed over."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            entry = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            found.append(entry)
    return found
