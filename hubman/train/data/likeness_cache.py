"""What CLIP said of the images of a set, kept in a file: reading it back takes no torch."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hubman.train.data.measured import cache_file
from hubman.train.files import write_atomically
from registry.decodable import decodable


class Likeness(msgspec.Struct, frozen=True):
    """Images by the hash of their pixels."""

    clip: str
    """Which CLIP: a digest of its weights."""
    nearest: dict[str, float]
    """The mean cosine of each image to its five nearest, -1 to 1."""
    alike: tuple[tuple[str, str], ...] = ()
    """Pairs that are all but the same."""


def likeness_file(home: Path, folder: Path) -> Path:
    """Where what CLIP said of the set in ``folder`` is kept."""
    return cache_file(home, folder).with_suffix(".likeness.json")


def read_likeness(path: Path) -> Likeness | None:
    """What was kept in ``path``, or None."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=decodable(Likeness))
    except (OSError, msgspec.DecodeError):
        return None


def write_likeness(path: Path, likeness: Likeness) -> None:
    """Raises HubError where ``path`` cannot be written."""
    write_atomically(path, msgspec.json.encode(likeness))
