"""A folder of training images: what is in it, with captions, masks and measurements."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hubman.progress import Report, silent
from hubman.train.captioning.caption_text import tidy
from hubman.train.data.left_out import left_out
from hubman.train.data.mask_files import Mask, MaskFinder
from hubman.train.data.measured import measure_all
from hubman.train.data.pictures import Picture
from hubman.train.data.set_files import CAPTION_SUFFIXES, ImageFile, list_files, list_images, odd_numbers
from registry.errors import NotFoundError


class DatasetImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image file of a dataset and what belongs to it."""

    path: Path
    name: str
    """Its path below the set's folder, with slashes; in a set without folders the file's name."""
    picture: Picture
    caption: str | None = None
    """Of its caption file, else the words of its numbered folder; ``None`` where there are neither."""
    caption_error: str = ""
    """Why an existing caption file cannot be used."""
    caption_is_folder: bool = False
    """It has no caption file, and ``caption`` is what its folder is called."""
    repeats: int = 1
    """How often it is shown in a pass."""
    mask_path: Path | None = None
    """The file that says which parts are learned; :func:`hubman.train.data.masks.load_mask` reads it."""
    mask: Mask | None = None
    left_out: bool = False
    """A person wants it not to be trained."""

    @property
    def usable(self) -> bool:
        """It can be decoded and is wanted: it is trained."""
        return not self.picture.error and not self.left_out

    @property
    def described(self) -> tuple[bool, bool]:
        """Whether it has a caption of its own, and a mask: what tells the better of two equal pictures."""
        return bool(self.caption) and not self.caption_is_folder, self.mask_path is not None


class Dataset(msgspec.Struct, frozen=True):
    """The images in and below one folder, in the order of their names."""

    folder: Path
    images: tuple[DatasetImage, ...]
    odd_folders: tuple[str, ...] = ()
    """Folders whose names begin with a number that is not taken for repeats."""
    unread: tuple[str, ...] = ()
    """Pictures in formats that are not read."""
    orphans: tuple[str, ...] = ()
    """Caption files without an image."""

    @property
    def usable(self) -> tuple[DatasetImage, ...]:
        """The images that are trained."""
        return tuple(image for image in self.images if image.usable)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what training sees: pixels, captions, repeats and masks, sorted. File names do not count."""
        rows = sorted("\0".join(_seen(image)) for image in self.usable)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _seen(image: DatasetImage) -> list[str]:
    row = [image.picture.pixels, image.caption or ""]
    if image.repeats != 1:
        row.append(f"shown {image.repeats} times")
    if image.mask is not None:
        row.append(f"mask {image.mask.pixels}")
    return row


def distinct(images: Sequence[DatasetImage]) -> list[DatasetImage]:
    """``images`` without copies: of those with the same pixels the best described one, of equals the first."""
    best: dict[str, DatasetImage] = {}
    for image in sorted(images, key=lambda image: image.described, reverse=True):
        best.setdefault(image.picture.pixels, image)
    return [image for image in images if best[image.picture.pixels] is image]


def image_files(folder: Path) -> list[Path]:
    """The image files in and below ``folder``; raises as :func:`~hubman.train.data.set_files.list_images`."""
    return [file.path for file in list_images(folder)]


def training_files(folder: Path) -> list[ImageFile]:
    """The image files that are not left out; raises as :func:`~hubman.train.data.set_files.list_images`."""
    out = left_out(folder)
    return [file for file in list_images(folder) if file.name not in out]


def read_dataset(
    folder: Path, cache: Path | None = None, report: Report = silent, *, masks: Path | None = None
) -> Dataset:
    """Decode and measure every image in and below ``folder``; ``cache`` is a file that remembers unchanged ones.

    ``masks`` is a folder of masks by the images' stems, where they do not lie in ``masks`` in the set. A damaged
    image is part of the result, with its error. Raises NotFoundError where there is no image at all.
    """
    listed = list_files(folder)
    files = listed.images
    if not files:
        hint = f"convert {listed.unread[0]} and the like to PNG" if listed.unread else "put the images there"
        raise NotFoundError(f"{folder} holds no images", f"{hint}, in it or in folders below it")
    if masks is not None and not masks.is_dir():
        raise NotFoundError(f"{masks} is not a folder", "give the folder that holds the masks")
    out, finder = left_out(folder), MaskFinder(folder, masks)
    mask_of = {file.path: finder.find(file.path) for file in files}
    wanted = list(dict.fromkeys(path for path in mask_of.values() if path is not None))
    pictures, found = measure_all([file.path for file in files], wanted, cache, report)
    images = []
    for file in files:
        caption, problem = read_caption(file.path)
        mask = mask_of[file.path]
        images.append(
            DatasetImage(
                path=file.path,
                name=file.name,
                picture=pictures[file.path],
                caption=caption if caption is not None or problem else file.words or None,
                caption_error=problem,
                caption_is_folder=caption is None and not problem and bool(file.words),
                repeats=file.repeats,
                mask_path=mask,
                mask=found[mask] if mask else None,
                left_out=file.name in out,
            )
        )
    return Dataset(folder, tuple(images), tuple(odd_numbers(files)), listed.unread, listed.orphans)


def caption_path(image: Path) -> Path:
    """The caption file that belongs to ``image``: an existing one, else where a new one goes (``.txt``)."""
    for suffix in CAPTION_SUFFIXES:
        if image.with_suffix(suffix).is_file():
            return image.with_suffix(suffix)
    return image.with_suffix(CAPTION_SUFFIXES[0])


def read_caption(image: Path) -> tuple[str | None, str]:
    """The caption of ``image`` without needless blanks, or None; and why an existing file cannot be used."""
    text, _, problem = read_caption_file(image)
    return text, problem


def read_caption_file(image: Path) -> tuple[str | None, bytes | None, str]:
    """The caption's text, its file's bytes (both None without a file), and why the file can't be used."""
    path = caption_path(image)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None, None, ""
    except OSError as error:
        return None, None, f"{path.name} cannot be read ({error.strerror})"
    try:
        return tidy(raw.decode("utf-8-sig")), raw, ""
    except UnicodeDecodeError:
        return None, raw, f"{path.name} is not UTF-8 text"
