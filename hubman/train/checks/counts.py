"""Whether there are enough images, and what the number of them means for the training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from hubman.train import presets
from hubman.train.checks.findings import Finding, Severity
from hubman.train.checks.rules import Rules
from hubman.train.data.dataset import Dataset, DatasetImage

FEWEST, VERY_FEW, COMFORTABLE = 5, 15, 30
"""Fewer images than the first are refused without force, than the second warned of strongly, than the third warned of."""
IDEAL = (50, 100)


def count(dataset: Dataset, rules: Rules) -> Iterator[Finding]:
    """What the number of images that are trained means."""
    images = len(dataset.usable)
    more = f"add images: {IDEAL[0]} to {IDEAL[1]} are ideal"
    small = "; presets take the recipe for small sets: low rank, more dropout, checkpoints close together"
    if images < FEWEST:
        severity: Severity = "warn" if rules.force and images else "error"
        sentence = f"only {images} usable images: a LoRA would copy them"
        yield Finding(None, severity, "count", sentence, f"{more}, or force it")
    elif images < VERY_FEW:
        yield Finding(None, "warn", "count", f"{images} images are very few: it will learn them by heart{small}", more)
    elif images < COMFORTABLE:
        said = small + ", mirrored images where the subject allows it" if images < presets.FEW else ""
        yield Finding(
            None, "warn", "count", f"{images} images are fewer than the comfortable {COMFORTABLE}{said}", more
        )
    elif IDEAL[0] <= images <= IDEAL[1]:
        sentence = f"{images} images: an ideal number, {IDEAL[0]} to {IDEAL[1]} serve a style best"
        yield Finding(None, "note", "count-ideal", sentence, "nothing to do")


def left_out(dataset: Dataset) -> Iterator[Finding]:
    """The images that a person left out."""
    for image in dataset.images:
        if image.left_out:
            yield Finding(
                image.name, "note", "left-out", "is left out: it is not trained", "take it back if you want it"
            )


def folders(dataset: Dataset) -> Iterator[Finding]:
    """What the folders' names mean: repeats, or a number that is none."""
    shown: dict[str, list[DatasetImage]] = defaultdict(list)
    for image in dataset.usable:
        if image.repeats > 1:
            shown[image.name.rpartition("/")[0]].append(image)
    for folder, images in shown.items():
        sentence = f"{folder}: each of its {len(images)} images is shown {images[0].repeats} times a pass"
        names = tuple(image.name for image in images)
        yield Finding(None, "note", "repeats", sentence, "rename the folder to change it", names)
    for folder in dataset.odd_folders:
        sentence = f"{folder}: its number is not taken for repeats"
        yield Finding(None, "note", "folder-number", sentence, "repeats go from 1 to 500; other numbers are a name")


def other_files(dataset: Dataset) -> Iterator[Finding]:
    """Files that a person may believe to be part of the set."""
    if dataset.unread:
        sentence = f"pictures in formats that are not read: {len(dataset.unread)}, such as {dataset.unread[0]}"
        yield Finding(None, "warn", "not-read", sentence, "convert them to PNG or JPEG", dataset.unread)
    if dataset.orphans:
        sentence = f"caption files that belong to no image: {len(dataset.orphans)}, such as {dataset.orphans[0]}"
        yield Finding(None, "note", "caption-orphan", sentence, "name them as their images", dataset.orphans)
