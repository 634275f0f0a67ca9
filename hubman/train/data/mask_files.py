"""Where the mask of an image is, and whether it can be read: white is learned, black is not."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import msgspec
from PIL import Image

from hubman.train.data.pictures import SUFFIXES, load_rgb, why_undecoded
from hubman.train.data.set_files import MASK_ENDINGS, MASK_FOLDERS

MaskSource = Literal["none", "folder", "alpha"]
"""``folder``: files of the same stem; ``alpha``: the image's own transparency."""


class Mask(msgspec.Struct, frozen=True):
    """A mask file. With ``error`` set the other fields mean nothing."""

    width: int = 0
    height: int = 0
    pixels: str = ""
    """SHA-256 of size and grey bytes."""
    learned: float = 1.0
    """Mean of the mask, 0 to 1."""
    error: str = ""


class MaskFinder:
    """Finds masks by stem; each folder is listed once."""

    def __init__(self, root: Path, masks: Path | None = None) -> None:
        """``root`` is the set's folder. ``masks`` holds masks by the images' names below the root, or by stem alone;
        without it they are looked for in folders called ``mask`` or ``masks``, beside the images or in the root.
        """
        self._root = root
        self._masks = masks
        self._listed: dict[Path, _Listing] = {}

    def find(self, image: Path) -> Path | None:
        """The mask file of ``image``, or None."""
        stem = image.stem.lower()
        for folder in self._folders(image.parent):
            if stem in self._listing(folder).images:
                return self._listing(folder).images[stem]
        return self._listing(image.parent).images.get(stem + MASK_ENDINGS[0])

    def _folders(self, beside: Path) -> list[Path]:
        below = beside.relative_to(self._root)
        if self._masks is not None:
            return [self._masks / below, self._masks]
        in_root = [folder / below for folder in self._listing(self._root).masks]
        return [*self._listing(beside).masks, *in_root]

    def _listing(self, folder: Path) -> _Listing:
        if folder not in self._listed:
            self._listed[folder] = _list(folder)
        return self._listed[folder]


class _Listing(msgspec.Struct, frozen=True):
    images: dict[str, Path] = {}
    masks: tuple[Path, ...] = ()


def _list(folder: Path) -> _Listing:
    try:
        entries = sorted(folder.iterdir(), reverse=True)
    except OSError:
        return _Listing()
    images = {each.stem.lower(): each for each in entries if each.suffix.lower() in SUFFIXES}
    return _Listing(images, tuple(each for each in entries if each.name.lower() in MASK_FOLDERS and each.is_dir()))


def measure_mask(path: Path) -> Mask:
    """Decode ``path`` completely; a file that cannot be decoded gets ``error``, never an exception."""
    try:
        grey = load_grey(path)
    except Exception as error:
        return Mask(error=why_undecoded(error))
    histogram = grey.histogram()
    learned = sum(value * count for value, count in enumerate(histogram)) / (255 * grey.width * grey.height)
    digest = hashlib.sha256(b"%d %d\n" % grey.size + grey.tobytes()).hexdigest()
    return Mask(grey.width, grey.height, digest, round(learned, 4))


def load_grey(path: Path) -> Image.Image:
    """A mask as an ``L`` picture, turned as EXIF says; what is transparent is black.

    Raises what Pillow raises for a damaged file.
    """
    return load_rgb(path, ground="black").convert("L")
