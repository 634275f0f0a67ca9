"""Which image of a post is which picture here, where no journal says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from hubman.civitai import blurhash
from hubman.civitai.owned import Post, PostImage


class _Picture(Protocol):
    @property
    def sha256(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


def shown(pictures: Iterable[_Picture], post: Post, paths: Mapping[str, Path]) -> dict[str, PostImage]:
    """The post's image of each picture, by the picture's SHA-256: those of the same name and size.

    Only among several such the BlurHash decides: another program's, or an older one's, may differ. ``paths`` are where
    the pictures lie, by SHA-256.
    """
    left, found = list(post.images), {}
    for picture in pictures:
        mark = (picture.name, picture.width, picture.height)
        same = [one for one in left if (one.name, one.width, one.height) == mark]
        if len(same) > 1:
            code = _blurhash(paths[picture.sha256])
            same = [one for one in same if one.hash == code] or same
        if same:
            found[picture.sha256] = same[0]
            left.remove(same[0])
    return found


def _blurhash(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        return blurhash.encode(image)
