"""The log of the engine, and what the process of one id wrote there last."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

LINES = 20
_MARK = "--- engine "
_LARGEST = 1 << 20
_READ = 1 << 16


def begin(version: str) -> None:
    """Mark where this process's lines begin in the log, which is its stderr."""
    sys.stderr.write(f"{_MARK}{os.getpid()} of hubman {version}, {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
    sys.stderr.flush()


def of(log: Path, pid: int, since: int = 0) -> list[str]:
    """The last lines that the engine with this process id wrote after byte ``since``, without empty ones."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, log.stat().st_size - _READ))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith(f"{_MARK}{pid} ")]
    mine = lines[begins[-1] + 1 :] if begins else lines
    ends = [number for number, line in enumerate(mine) if line.startswith(_MARK)]
    return [line.rstrip() for line in mine[: ends[0] if ends else None] if line.strip()][-LINES:]


def rotate(log: Path) -> None:
    """Put a large log aside; the one before it goes."""
    if log.exists() and log.stat().st_size > _LARGEST:
        log.replace(log.with_suffix(".log.1"))
