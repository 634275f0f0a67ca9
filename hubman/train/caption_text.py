"""The text of a caption file, as everything that reads captions sees it."""

from __future__ import annotations


def tidy(text: str) -> str:
    """``text`` without blanks around and between words, and without empty lines.

    Lines stay apart: with wildcards a training reads one of them at a time.
    """
    return "\n".join(line for line in (" ".join(line.split()) for line in text.splitlines()) if line)
