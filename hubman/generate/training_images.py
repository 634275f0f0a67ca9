"""The images that a LoRA was trained on, as far as this machine has them: what its style is compared with."""

from __future__ import annotations

from pathlib import Path

from hubman.train.data.dataset import training_files
from registry import library, lineage
from registry.database import Registry
from registry.errors import HubError

MOST = 32
"""Images compared with, from all over the set: more tell nothing new of a style."""


def training_images(registry: Registry, version_id: str) -> list[Path]:
    """Up to 32 images of the folder that its training read; none where that is not known or not here any more."""
    folder = lineage.of(registry, library.version(registry, version_id)).dataset_path
    if not folder:
        return []
    try:
        paths = [file.path for file in training_files(Path(folder))]
    except (HubError, OSError):
        return []
    count = min(MOST, len(paths))
    return [paths[number * len(paths) // count] for number in range(count)]
