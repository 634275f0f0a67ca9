"""Whose batch the engine draws next: its clients one after the other, without changing the base for each of them."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE = 4
"""Turns that a client whose base is not loaded is passed over at most, in favour of those whose base is."""


class Turns(Generic[T]):
    """The work of each client, in the order in which it asked; not safe to be used by several threads at once."""

    def __init__(self) -> None:
        self._queues: OrderedDict[Hashable, deque[T]] = OrderedDict()
        self._passed_over = 0

    def __iter__(self) -> Iterator[T]:
        return (work for queue in self._queues.values() for work in queue)

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, client: Hashable, work: T) -> None:
        self._queues.setdefault(client, deque()).append(work)

    def take(self, at_hand: Callable[[T], bool]) -> tuple[Hashable, T] | None:
        """The client whose turn it is and the work that it asked for first, which stays in its queue.

        That is the client that waits longest, unless its work is not ``at_hand`` while another's is.
        """
        if not self._queues:
            return None
        waiting = [(client, queue[0]) for client, queue in self._queues.items()]
        ready = [each for each in waiting if at_hand(each[1])]
        chosen = ready[0] if ready and self._passed_over < PATIENCE else waiting[0]
        self._passed_over = 0 if chosen is waiting[0] else self._passed_over + 1
        self._queues.move_to_end(chosen[0])
        return chosen

    def remove(self, client: Hashable, work: T) -> None:
        """What is done or given up; nothing if it is not there."""
        queue = self._queues.get(client)
        if queue is not None and work in queue:
            queue.remove(work)
        if not queue:
            self._queues.pop(client, None)
