"""Begin work that belongs to a widget and ends with it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from textual.dom import DOMNode
from textual.worker import Worker


def begin(node: DOMNode, work: Callable[[], Coroutine[Any, Any, None]], *, group: str, exclusive: bool = False) -> None:
    """Run ``work`` beside the messages of ``node``; an exclusive one replaces those of its group.

    The function is handed over, not its coroutine: one that is replaced before its turn must not stay unawaited.
    """
    _: Worker[None] = node.run_worker(work, group=group, exclusive=exclusive)
