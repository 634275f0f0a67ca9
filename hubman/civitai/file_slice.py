"""A part of a file as a request's body: read in blocks while it goes out, again from its start when it is sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from registry.errors import HubError

_BLOCK = 256 << 10


def _unwatched(_done: int) -> None:
    pass


class FileSlice(msgspec.Struct, frozen=True):
    """``length`` bytes of a file from ``start``, read in blocks each time that they are iterated over."""

    path: Path
    start: int
    length: int
    watch: Callable[[int], None] = _unwatched
    """Told how many bytes were read, before each block."""

    def __iter__(self) -> Iterator[bytes]:
        done = 0
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            while done < self.length:
                self.watch(done)
                block = file.read(min(_BLOCK, self.length - done))
                if not block:
                    raise HubError(f"{self.path} became shorter while it was sent", "run hubman scan, then try again")
                done += len(block)
                yield block
