"""Pictures that are drawn already, bounded by their cells: each weighs some 750 bytes, most of it styles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

from textual.strip import Strip

Key = TypeVar("Key", bound=Hashable)


class StripCache(Generic[Key]):
    """The pictures that were asked for last, of ``cells`` cells together; for any number of threads."""

    def __init__(self, cells: int) -> None:
        self._most = cells
        self._held = 0
        self._kept: OrderedDict[Key, list[Strip]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def cells(self) -> int:
        return self._held

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def get(self, key: Key) -> list[Strip] | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Key, strips: list[Strip]) -> None:
        """Keep a picture; the ones that were asked for longest ago make room for it."""
        with self._lock:
            self._drop(key)
            self._kept[key] = strips
            self._held += _weight(strips)
            while self._held > self._most and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._held = 0

    def _drop(self, key: Key) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self._held -= _weight(old)


def _weight(strips: list[Strip]) -> int:
    """An empty picture counts too: a library of 50,000 models may have none."""
    return max(1, sum(strip.cell_length for strip in strips))
