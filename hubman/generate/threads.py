"""Threads that the engine computes with on the CPU."""

from __future__ import annotations

import os


def free_cores() -> int:
    """Cores that this process may use and nobody does now, at least one."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    try:
        busy = round(os.getloadavg()[0])
    except OSError:
        busy = 0
    return max(1, cores - busy)


def use_free_cores() -> None:
    """One thread for each free core, unless ``OMP_NUM_THREADS`` says how many.

    Two threads on cores that others use ran 5 to 15 times slower than one: each waits, spinning, for the other. The
    number stays as it is at the start, since sums are rounded differently with another one.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(free_cores())
