"""What to show for a version: a small, cached picture, or the words that stand in its place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tui.decoding import slots
from tui.looks import Looks

if TYPE_CHECKING:
    from registry.database import Registry


@dataclass(frozen=True)
class Tile:
    """A picture, or ``words`` (lines) on a covered tile. Neither: there is no picture."""

    path: Path | None = None
    words: tuple[str, ...] = ()
    number: int = 0
    of: int = 0
    """Which of the version's pictures it is, from 0, and how many there are."""
    level: str = ""


NONE = Tile()


LARGE = 640
"""Pixels a side for the one picture that is drawn by the terminal's own protocol."""


def of_version(registry: Registry, version: str, looks: Looks, number: int = 0, *, large: bool = False) -> Tile:
    """Picture ``number`` of a version. Decodes a picture at most once; for a thread."""
    from registry import levels, previews
    from registry.errors import HubError, MissingExtraError

    if not looks.has_pictures:
        return NONE
    side = LARGE if large and looks.pictures.method in {"kitty", "sixel"} else previews.THUMBNAIL_SIDE
    shown = previews.shown(registry, version, number)
    if shown is None:
        return NONE
    tile = Tile(number=shown.number, of=shown.of, level=levels.name_of(shown.level))
    if levels.is_covered(shown.level, looks.threshold):
        return replace(tile, words=(tile.level, "covered"))
    try:
        with slots:
            return replace(tile, path=previews.thumbnail(registry, shown.sha256, side))
    except MissingExtraError as error:
        return replace(tile, words=("▶ video", error.hint.partition(" shows")[0]))
    except HubError as error:
        return replace(tile, words=(error.message,))
