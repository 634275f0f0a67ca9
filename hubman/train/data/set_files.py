"""Which files of a folder are training images, and how often each is shown.

Images lie in the folder or in folders below it. A folder called ``10_zvk woman`` shows each of its images ten times
a pass, as kohya's scripts understand it, and lends its words to images without a caption. Hidden folders and files,
and what can be told to be a mask (:mod:`hubman.train.data.mask_files`), are no images.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hubman.train.data.pictures import SUFFIXES
from registry.errors import HubError, NotFoundError

MOST_REPEATS = 500
"""A greater number before a folder's name is a year or a serial number: it would drown the rest of the set."""
CAPTION_SUFFIXES = (".txt", ".caption")
OTHER_PICTURES = frozenset(
    {".gif", ".heic", ".heif", ".jxl", ".jp2", ".psd", ".svg", ".xcf", ".kra", ".cr2", ".cr3", ".nef", ".arw", ".dng"}
)
"""Formats that people may take for training images, and that are not read."""
MASK_FOLDERS = frozenset({"mask", "masks"})
MASK_ENDINGS = ("-masklabel", "-condlabel")
"""What OneTrainer puts after the stem of an image for its mask and its conditioning picture."""

_NUMBERED = re.compile(r"(\d{1,9})_(.+)")


class ImageFile(msgspec.Struct, frozen=True):
    """An image file of a set, not opened yet."""

    path: Path
    name: str
    """Its path below the set's folder, with slashes: what people and lists call it."""
    repeats: int = 1
    """How often it is shown in a pass."""
    words: str = ""
    """What its numbered folder is called after the number, or nothing."""


class SetFiles(msgspec.Struct, frozen=True):
    """What lies in a set's folder."""

    images: tuple[ImageFile, ...]
    unread: tuple[str, ...]
    """Pictures in formats that are not read, by name."""
    orphans: tuple[str, ...]
    """Caption files without an image, by name."""


def list_images(folder: Path) -> list[ImageFile]:
    """The images of :func:`list_files`; raises as it does."""
    return list(list_files(folder).images)


def list_files(folder: Path) -> SetFiles:
    """What is in and below ``folder``, the folder itself first, each folder's files by name.

    Links to files are followed, links to folders are not. Raises NotFoundError where ``folder`` is none, HubError
    where it cannot be listed.
    """
    if not folder.is_dir():
        raise NotFoundError(f"{folder} is not a folder", "give the folder that holds the training images")
    images: list[ImageFile] = []
    unread: list[str] = []
    orphans: list[str] = []
    for at, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not _passed_over(name))
        here = Path(at)
        below = here.relative_to(folder)
        repeats, words = repeats_of(below)
        shown = [name for name in sorted(names) if not name.startswith(".")]
        here_images = [name for name in shown if _is_image(name)]
        images += [ImageFile(here / name, (below / name).as_posix(), repeats, words) for name in here_images]
        unread += [(below / name).as_posix() for name in shown if Path(name).suffix.lower() in OTHER_PICTURES]
        stems = {Path(name).stem for name in here_images}
        captions = (name for name in shown if Path(name).suffix in CAPTION_SUFFIXES)
        orphans += [(below / name).as_posix() for name in captions if Path(name).stem not in stems]
    return SetFiles(tuple(images), tuple(unread), tuple(orphans))


def repeats_of(below: Path) -> tuple[int, str]:
    """How often images in the folder ``below`` the set's own are shown, and that folder's words; the innermost counts."""
    for part in reversed(below.parts):
        numbered = _NUMBERED.fullmatch(part)
        if numbered and 1 <= int(numbered[1]) <= MOST_REPEATS:
            return int(numbered[1]), " ".join(numbered[2].replace("_", " ").split())
    return 1, ""


def odd_numbers(files: Sequence[ImageFile]) -> list[str]:
    """Folders whose names begin with a number that is not taken for repeats: 0, or a year such as 2024."""
    folders = {part for file in files for part in Path(file.name).parent.parts}
    numbered = ((part, _NUMBERED.fullmatch(part)) for part in folders)
    return sorted(part for part, found in numbered if found and not 1 <= int(found[1]) <= MOST_REPEATS)


def _is_image(name: str) -> bool:
    path = Path(name)
    return path.suffix.lower() in SUFFIXES and not name.startswith(".") and not path.stem.lower().endswith(MASK_ENDINGS)


def _passed_over(folder: str) -> bool:
    return folder.startswith(".") or folder.lower() in MASK_FOLDERS


def _refuse(error: OSError) -> None:
    raise HubError(f"{error.filename} cannot be read ({error.strerror})", "check its permissions") from error
