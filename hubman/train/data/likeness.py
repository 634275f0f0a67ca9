"""How alike the images of a set are to CLIP: near duplicates that hashes miss, and images that belong elsewhere.

CLIP is right about pictures of the kind that it was trained on: the embedded one only about those of the embedded base.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from hubman.progress import Progress, Report, silent
from hubman.train.captioning.clip_model import ClipModel
from hubman.train.data.dataset import Dataset, DatasetImage, distinct
from hubman.train.data.likeness_cache import Likeness, likeness_file, read_likeness, write_likeness
from hubman.train.data.pictures import load_rgb
from hubman.train.encoding.tensor_store import TensorStore, entry_key

ALIKE = 0.985
"""Cosine at which two images are all but the same; .97 to .99 are in use."""
NEAREST = 5
"""Of how many nearest images the mean cosine tells whether an image belongs to the set."""


def compare(dataset: Dataset, clip: Path, home: Path, report: Report = silent) -> Likeness:
    """Embed every usable image with the CLIP folder ``clip`` and compare all with all.

    Embeddings and the result are kept below ``home``, where checks without torch find it. Raises DamagedFileError
    for a folder without a CLIP model.
    """
    model = ClipModel(clip)
    digest = model.digest()
    images = distinct(dataset.usable)
    known = read_likeness(likeness_file(home, dataset.folder))
    if known is not None and known.clip == digest and set(known.nearest) == {each.picture.pixels for each in images}:
        return known
    store = TensorStore(home / "cache" / "encoded")
    rows = []
    for done, image in enumerate(images, 1):
        rows.append(_embedding(image, model, digest, store))
        report(Progress(stage="compare images", done=done, total=len(images), unit="images"))
    found = (
        _likeness([image.picture.pixels for image in images], torch.stack(rows), digest)
        if rows
        else Likeness(digest, {})
    )
    write_likeness(likeness_file(home, dataset.folder), found)
    return found


def _embedding(image: DatasetImage, model: ClipModel, digest: str, store: TensorStore) -> Tensor:
    key = entry_key(kind="clip image", pixels=image.picture.pixels, clip=digest)
    known = store.get(key)
    if known is not None and "vector" in known:
        return known["vector"]
    vector = model.embed_image(load_rgb(image.path)).float().cpu()
    store.put(key, {"vector": vector})
    return vector


def _likeness(pixels: Sequence[str], vectors: Tensor, clip: str) -> Likeness:
    """``vectors``: unit rows ``[images, width]``."""
    cosines = vectors @ vectors.T
    above = torch.triu(cosines, diagonal=1) >= ALIKE
    pairs = tuple((pixels[i], pixels[j]) for i, j in above.nonzero().tolist())
    cosines.fill_diagonal_(-torch.inf)
    nearest = cosines.topk(min(NEAREST, len(pixels) - 1), dim=1).values.mean(1) if len(pixels) > 1 else torch.ones(1)
    return Likeness(clip, dict(zip(pixels, nearest.tolist(), strict=True)), pairs)
