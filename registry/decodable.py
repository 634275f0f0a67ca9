"""Types made known to msgspec one at a time: it crashes where two threads decode a type for the first time at once."""

from __future__ import annotations

from threading import Lock
from typing import TypeVar

import msgspec

T = TypeVar("T")

_one_at_a_time = Lock()
_done: set[type] = set()


def decodable(kind: type[T]) -> type[T]:
    """``kind``, which any thread may now decode or convert to.

    msgspec (0.22) remembers a struct before it knows its fields and then runs Python code, so that another thread
    may decode by what is half there: a segmentation fault.
    """
    if kind not in _done:
        with _one_at_a_time:
            msgspec.json.Decoder(kind)
            _done.add(kind)
    return kind
