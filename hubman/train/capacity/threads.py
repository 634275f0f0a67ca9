"""How many threads of the CPU torch computes with while a training runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with ``count`` threads inside, 0 = as many as before.

    Sums depend on the number, so it is of a recipe, which is to give the same weights again.
    """
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
