"""The mask of an image as it is cut to its bucket: how much each pixel counts."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from hubman.train.data.buckets import Cut
from hubman.train.data.dataset import DatasetImage
from hubman.train.data.mask_files import MaskSource, load_grey
from hubman.train.data.pictures import load_alpha
from registry.errors import DamagedFileError


def has_mask(image: DatasetImage, source: MaskSource) -> bool:
    """Whether ``source`` holds a mask for ``image``."""
    if source == "folder":
        return image.mask_path is not None
    return source == "alpha" and image.picture.transparent


def load_mask(image: DatasetImage, cut: Cut, source: MaskSource) -> Tensor:
    """float32 ``[height, width]`` of the bucket, 0 (not learned) to 1 (learned); ones where there is no mask.

    A mask of another size than its image is stretched to it first. Raises DamagedFileError for a file that
    cannot be decoded.
    """
    width, height = cut.bucket
    if not has_mask(image, source):
        return torch.ones(height, width)
    grey = _whole(image, source)
    if grey.size != cut.original:
        grey = grey.resize(cut.original, Image.Resampling.BILINEAR)
    small = grey.resize(cut.bucket, Image.Resampling.BOX, box=cut.box)
    values = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
    return values.view(height, width).float() / 255


def _whole(image: DatasetImage, source: MaskSource) -> Image.Image:
    path = image.mask_path if source == "folder" and image.mask_path else image.path
    try:
        return load_grey(path) if source == "folder" else load_alpha(path)
    except Exception as error:
        raise DamagedFileError(
            f"the mask {path.name} cannot be decoded", "save it again, or train without masks"
        ) from error
