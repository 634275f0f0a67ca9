"""Paths as a person types them."""

from __future__ import annotations

from pathlib import Path


def expand(text: str) -> Path:
    """``~`` and relative paths made absolute, without following links."""
    return Path(text.strip()).expanduser().absolute()
