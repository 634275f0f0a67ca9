"""How many tokens a caption has, roughly."""

from __future__ import annotations

import re
from collections.abc import Callable

CountTokens = Callable[[str], int]
"""Tokens of a caption, without start and end."""


def estimate_tokens(caption: str) -> int:
    """CLIP tokens of ``caption`` without its tokenizer: one a word or sign, one more for each six further letters."""
    pieces = re.findall(r"[^\W\d_]+|\d|[^\w\s]|_", caption)
    return sum(1 + max(0, len(piece) - 7 + 5) // 6 for piece in pieces)
