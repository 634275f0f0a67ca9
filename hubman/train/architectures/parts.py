"""Parts of a base model that are in memory only while they are needed: encoders, once everything is encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hubman.train.encoding.weights_digest import Source

WORTH_RELEASING = 64 << 20
"""Bytes of weights; smaller parts stay, since loading them again takes longer than their memory is worth."""


class Part:
    """A frozen module that is loaded when it is first asked for and can be given back."""

    def __init__(self, load: Callable[[], Any], sources: Sequence[Source]) -> None:
        self._load = load
        self._module: Any = None
        self.sources = tuple(sources)
        """Where its weights, its configuration and its tokenizer stand."""

    def get(self) -> Any:
        """The module, loaded now unless it is there."""
        if self._module is None:
            self._module = self._load()
        return self._module

    @property
    def loaded(self) -> int:
        """Its frozen parameters that are in memory now."""
        if self._module is None:
            return 0
        return sum(weight.numel() for weight in self._module.parameters() if not weight.requires_grad)

    def release(self) -> None:
        """Give its memory back, if that is worth it; :meth:`get` loads it again with the same weights."""
        if self._module is None:
            return
        held = sum(weight.numel() * weight.element_size() for weight in self._module.parameters())
        if held >= WORTH_RELEASING:
            self._module = None
