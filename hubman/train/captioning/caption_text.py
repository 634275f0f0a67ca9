"""The text of a caption file, as everything that reads captions sees it."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")


def tidy(text: str) -> str:
    """``text`` without needless blanks, empty lines, and characters that would steer a terminal.

    Lines stay apart: with wildcards a training reads one of them at a time.
    """
    lines = (" ".join(_CONTROL.sub("", line).split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
