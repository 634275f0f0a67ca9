"""The order of images: every pass shows each as often as its folder says, in batches of one size, decided by seed and step alone."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Sequence

from hubman.train.data.buckets import Size


def keyed_seed(seed: int, *parts: object) -> int:
    """A 63-bit seed for one purpose, so that a resumed run needs no saved random state."""
    text = ":".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


class BatchPlan:
    """Which images each step sees.

    ``buckets`` is the bucket of each image, by its index, ``repeats`` how often a pass shows it, by default once.
    """

    def __init__(self, buckets: Sequence[Size], batch: int, seed: int, repeats: Sequence[int] = ()) -> None:
        self._groups: dict[Size, list[int]] = defaultdict(list)
        for index, (bucket, times) in enumerate(zip(buckets, repeats or [1] * len(buckets), strict=True)):
            self._groups[bucket] += [index] * times
        self._batch = batch
        self._seed = seed
        self._pass = -1
        self._batches: list[list[int]] = []
        self.batches_per_pass = sum(-(-len(group) // batch) for group in self._groups.values())

    def at(self, step: int) -> list[int]:
        """The image indices of ``step`` (from 0), as many as the batch is large.

        A bucket that does not fill its last batch repeats images of its own: nothing is dropped.
        """
        which, place = divmod(step, self.batches_per_pass)
        if which != self._pass:
            self._batches = self._shuffle(which)
            self._pass = which
        return self._batches[place]

    def _shuffle(self, which: int) -> list[list[int]]:
        rng = random.Random(keyed_seed(self._seed, "pass", which))
        batches = []
        for size in sorted(self._groups):
            order = self._groups[size].copy()
            rng.shuffle(order)
            while len(order) % self._batch:
                order.extend(order[: self._batch - len(order) % self._batch])
            batches += [order[i : i + self._batch] for i in range(0, len(order), self._batch)]
        rng.shuffle(batches)
        return batches
