"""The images and captions that a version was trained on, packed to be attached to its page; not those left out.

The same folder makes the same archive, byte for byte, so a publication that was cut off goes on with it. The images'
own metadata are left out, as in the pictures that are shown.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path, PurePosixPath

from hubman.civitai import image_clean
from hubman.civitai.form import VersionPart
from hubman.civitai.planned import PlannedFile
from hubman.generate.files import replace_file
from hubman.train.data.dataset import read_caption, training_files
from registry.errors import DamagedFileError, NotFoundError

_DATE = (1980, 1, 1, 0, 0, 0)
"""The first that an archive can tell: when the images were made is nobody's business."""


def pack(part: VersionPart, folder: Path) -> PlannedFile:
    """Pack the version's dataset into ``folder``. Raises :class:`NotFoundError` where it is not on this machine."""
    dataset = Path(part.dataset) if part.dataset else None
    images = training_files(dataset) if dataset is not None and dataset.is_dir() else []
    if not images:
        raise NotFoundError(f"the training images of {part.name} are not on this machine", "keep them private")
    name = f"{Path(part.file.name).stem}_training_data.zip"
    target, captions = folder / name, 0

    def write(file: object) -> None:
        nonlocal captions
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
            for image in images:
                archive.writestr(zipfile.ZipInfo(image.name, _DATE), _without_metadata(image.path))
                caption, _ = read_caption(image.path)
                if caption:
                    captions += 1
                    archive.writestr(
                        zipfile.ZipInfo(str(PurePosixPath(image.name).with_suffix(".txt")), _DATE), caption
                    )

    replace_file(target, write)
    with target.open("rb") as packed:
        digest = hashlib.file_digest(packed, "sha256").hexdigest()
    told = {
        "format": "Other",
        "labelType": "caption",
        "numImages": len(images),
        "numCaptions": captions,
        "shareDataset": True,
    }
    return PlannedFile(
        path=str(target), name=name, sha256=digest, size=target.stat().st_size, kind="Training Data", metadata=told
    )


def _without_metadata(image: Path) -> bytes:
    data = image.read_bytes()
    try:
        return image_clean.cleaned(data)
    except DamagedFileError as problem:
        raise DamagedFileError(
            f"{image.name} can't be attached without what it tells of itself", "convert it to PNG, JPEG or WebP"
        ) from problem
