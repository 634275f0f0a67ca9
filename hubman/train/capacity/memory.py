"""How much memory there is, how much this process has, and whether it spills over into something slower."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from pathlib import Path

import torch

_SPILL = 64 << 20
"""Bytes in the swap beyond those at the start that count: the system writes out a little of any process."""


class Memory:
    """The memory of the device that trains: the accelerator's own, or the main memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._swapped = _status("VmSwap")
        self._before = self._seen = 0

    @property
    def total(self) -> int:
        """Bytes that this process could have at most: the device's, or the machine's within its control group."""
        if self._device.type == "cuda":
            return int(torch.cuda.get_device_properties(self._device).total_memory)
        return min(_machine("MemTotal"), _limit())

    @property
    def free(self) -> int:
        """Bytes that this process can have, those that it has already among them."""
        if self._device.type == "cuda":
            return int(torch.cuda.mem_get_info(self._device)[0]) + torch.cuda.memory_reserved(self._device)
        return min(_machine("MemAvailable"), _limit() - _used_by_group()) + _status("VmRSS")

    @property
    def used(self) -> int:
        """Bytes that this process has now; asking does not wait for the device."""
        if self._device.type == "cuda":
            return torch.cuda.memory_allocated(self._device)
        return _status("VmRSS")

    @property
    def peak(self) -> int:
        """The most that it had at once, since its start or since :meth:`forget_peak`."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        highest = _status("VmHWM")
        self._seen = max(self._seen, self.used)
        return highest if highest > self._before else self._seen

    def forget_peak(self) -> None:
        """Let :attr:`peak` count from now on.

        Where the system does not forget, it is the most that was seen when it was asked for, until that is exceeded.
        """
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak of the resident set
        self._before, self._seen = _status("VmHWM"), 0

    @property
    def spilled(self) -> int:
        """Bytes that went to slower memory since the start: to the swap, or from the card to the main memory.

        Drivers that let a card borrow main memory reserve more than it has.
        """
        if self._device.type == "cuda":
            return max(0, torch.cuda.memory_reserved(self._device) - self.total)
        grown = _status("VmSwap") - self._swapped
        return grown if grown > _SPILL else 0


def give_back(device: torch.device) -> None:
    """Return to the system what was freed but is kept at hand by the card's allocator or the C library."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        # Another C library than glibc has no such function, and no need of it.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _status(name: str) -> int:
    """A line of ``/proc/self/status`` in bytes; where there is none, the peak for it (0 for the swap)."""
    with contextlib.suppress(OSError):
        return _line(Path("/proc/self/status"), name)
    unit = 1 if sys.platform == "darwin" else 1024
    return 0 if name == "VmSwap" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _machine(name: str) -> int:
    with contextlib.suppress(OSError):
        return _line(Path("/proc/meminfo"), name)
    return 8 << 30


def _line(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


_GROUP = Path("/sys/fs/cgroup")


def _limit() -> int:
    """What the control group allows in bytes; more than any machine has where it does not limit."""
    with contextlib.suppress(OSError, ValueError):
        return int((_GROUP / "memory.max").read_text())
    return 1 << 62


def _used_by_group() -> int:
    """Bytes in use by the group that can't be given back: its file cache can."""
    with contextlib.suppress(OSError, ValueError):
        cache = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
        return int((_GROUP / "memory.current").read_text()) - int(cache.get("inactive_file", 0))
    return 0
