"""A tile without a picture: covered, or saying why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich.cells import cell_len

from tui.widgets.columns import cut

_SHADE = "░"


def tile_line(words: Sequence[str], width: int, height: int, y: int) -> str:
    """Line ``y`` of a tile of ``width`` x ``height`` cells: shade, with ``words`` in its middle."""
    lines = [line for word in words for line in wrap(word, max(4, width - 4))][: max(1, height)]
    at = y - (height - len(lines)) // 2
    if not 0 <= at < len(lines) or width < 4:
        return _SHADE * width
    text = f" {cut(lines[at], min(cell_len(lines[at]), width - 2))} "
    left = (width - cell_len(text)) // 2
    return _SHADE * left + text + _SHADE * (width - left - cell_len(text))
