"""What is wrong with a dataset, image by image, before a training spends time on it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Literal

import msgspec

from hubman.train.dataset import Dataset, DatasetImage
from hubman.train.pictures import Picture

Severity = Literal["error", "warn", "note"]

FEWEST, VERY_FEW, FEW = 5, 15, 30
"""Fewer images than the first are refused without force; 50 to 100 are recommended."""
NEAR_BITS = 6
"""Of 64: two perceptual hashes at most this far apart look the same."""
NEAR_TINT = 24
"""Of 255: a greater mean difference of 4x4 thumbnails means other colours, so another picture."""
BLURRED = 40.0
"""Variance of the Laplacian that is clearly blurred in a photograph; 50 to 150 are in use as limits."""
OUTLIER = 6.0
"""A picture whose sharpness is this many times below the set's median stands out whatever the medium."""
SOFT_EDGES = 0.3
"""Sharp edges score above it even where there are few of them: a plain drawing is not a blurred one."""
WIDEST = 2.5
"""Longer : shorter side beyond this is cropped heavily."""
CUT_TOKENS = 225


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the pictures and captions are measured against."""

    resolution: int = 512
    """Side in pixels of the square that has the training area."""
    trigger: str = ""
    max_tokens: int = 75
    force: bool = False
    """Fewer than five images become a warning."""


class Finding(msgspec.Struct, frozen=True):
    """One thing to know about a dataset; ``image`` is a file name, or None where it concerns the whole set."""

    image: str | None
    severity: Severity
    code: str
    """Stable, for programs: ``damaged``, ``small``, ``near-duplicate``..."""
    sentence: str
    remedy: str


CountTokens = Callable[[str], int]


def estimate_tokens(caption: str) -> int:
    """CLIP tokens of ``caption`` without its tokenizer: one a word or sign, one more for each six further letters."""
    pieces = re.findall(r"[^\W\d_]+|\d|[^\w\s]|_", caption)
    return sum(1 + max(0, len(piece) - 7 + 5) // 6 for piece in pieces)


def check(
    dataset: Dataset, rules: Rules | None = None, count_tokens: CountTokens = estimate_tokens
) -> tuple[Finding, ...]:
    """Every finding, errors first. ``count_tokens`` is the base's tokenizer where it is at hand."""
    rules = rules or Rules()
    found = [
        *_count(dataset, rules),
        *(finding for image in dataset.images for finding in _picture(image, rules)),
        *_blurred(dataset.usable),
        *_duplicates(dataset.usable),
        *(finding for image in dataset.images for finding in _caption(image, rules, count_tokens)),
        *_identical_captions(dataset.usable),
        *_balance(dataset.usable, rules),
    ]
    order = {"error": 0, "warn": 1, "note": 2}
    return tuple(sorted(found, key=lambda finding: order[finding.severity]))


def has_errors(findings: Iterable[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def split_tags(caption: str) -> list[str]:
    """The comma-separated parts of a caption, trimmed, without empty ones."""
    return [tag for tag in (part.strip() for part in caption.split(",")) if tag]


def _count(dataset: Dataset, rules: Rules) -> Iterator[Finding]:
    count = len(dataset.usable)
    more = "add images: 50 to 100 are recommended"
    if count < FEWEST:
        severity: Severity = "warn" if rules.force and count else "error"
        yield Finding(
            None, severity, "count", f"only {count} usable images: a LoRA would copy them", f"{more}, or force it"
        )
    elif count < VERY_FEW:
        yield Finding(None, "warn", "count", f"{count} images are very few: it will learn them by heart", more)
    elif count < FEW:
        yield Finding(None, "warn", "count", f"{count} images are fewer than the comfortable {FEW}", more)


def _picture(image: DatasetImage, rules: Rules) -> Iterator[Finding]:
    name, picture = image.name, image.picture
    if picture.error:
        yield Finding(name, "error", "damaged", f"{picture.error}", "replace the file or take it out of the folder")
        return
    shorter, longer = sorted((picture.width, picture.height))
    size = f"{picture.width}x{picture.height}"
    if 2 * shorter < rules.resolution:
        sentence = f"{size} is below half of the training resolution {rules.resolution}"
        yield Finding(name, "error", "too-small", sentence, "use a larger original, or train at a lower resolution")
    elif shorter < rules.resolution:
        sentence = f"{size} must be enlarged to the training resolution {rules.resolution}"
        yield Finding(name, "warn", "small", sentence, "use a larger original, or upscale it first")
    if longer > WIDEST * shorter:
        yield Finding(name, "warn", "aspect", f"{size} is cropped heavily to fit a bucket", "crop it to what matters")
    yield from _format(name, picture)


def _format(name: str, picture: Picture) -> Iterator[Finding]:
    if picture.transparent:
        yield Finding(
            name, "note", "alpha", "transparent pixels become white", "put it on the background that you want"
        )
    if picture.frames > 1:
        yield Finding(
            name, "warn", "animated", "only the first frame is used", "save the frames that you want as images"
        )
    if picture.mode not in ("RGB", "RGBA", "L", "LA"):
        yield Finding(name, "note", "converted", f"its {picture.mode} pixels are converted to RGB", "nothing to do")


def _blurred(images: tuple[DatasetImage, ...]) -> Iterator[Finding]:
    if not images:
        return
    middle = median(image.picture.sharpness for image in images)
    for image in images:
        score = image.picture.sharpness
        low = score < middle / OUTLIER or (score < BLURRED and score < middle / 2)
        if low and image.picture.edges < SOFT_EDGES:
            sentence = f"looks blurred: sharpness {score:.0f}, the set's median is {middle:.0f}"
            yield Finding(image.name, "warn", "blurred", sentence, "drop it, unless the softness is wanted")
    if middle < BLURRED:
        sentence = f"the whole set scores low in sharpness (median {middle:.0f})"
        yield Finding(None, "note", "soft-set", sentence, "normal for flat drawings; photographs would train blurred")


def _duplicates(images: tuple[DatasetImage, ...]) -> Iterator[Finding]:
    first: dict[str, DatasetImage] = {}
    for image in images:
        original = first.setdefault(image.picture.pixels, image)
        if original is not image:
            sentence = f"has exactly the pixels of {original.name}"
            yield Finding(image.name, "warn", "duplicate", sentence, "drop it: training uses it once in any case")
    for group in _near_groups(list(first.values())):
        for image in group[1:]:
            sentence = f"looks almost the same as {group[0].name}"
            yield Finding(image.name, "warn", "near-duplicate", sentence, "keep the better one, or both if it is meant")


def _near_groups(images: list[DatasetImage]) -> list[list[DatasetImage]]:
    """Groups of images that look alike, by union-find; images without a twin are left out."""
    parent = list(range(len(images)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for j, other in enumerate(images):
        for i in range(j):
            if _look_alike(images[i].picture, other.picture):
                parent[root(j)] = root(i)
    groups: dict[int, list[DatasetImage]] = defaultdict(list)
    for i, image in enumerate(images):
        groups[root(i)].append(image)
    return [group for group in groups.values() if len(group) > 1]


def _look_alike(one: Picture, other: Picture) -> bool:
    if (one.phash ^ other.phash).bit_count() <= NEAR_BITS:
        return _tint_difference(one.tint, other.tint) <= NEAR_TINT
    if (one.phash ^ other.phash_mirrored).bit_count() <= NEAR_BITS:
        rows = [other.tint[i : i + 12] for i in range(0, len(other.tint), 12)]
        mirrored = [value for row in rows for x in (9, 6, 3, 0) for value in row[x : x + 3]]
        return _tint_difference(one.tint, mirrored) <= NEAR_TINT
    return False


def _tint_difference(one: Iterable[int], other: Iterable[int]) -> float:
    differences = [abs(a - b) for a, b in zip(one, other, strict=True)]
    return sum(differences) / len(differences)


def _caption(image: DatasetImage, rules: Rules, count_tokens: CountTokens) -> Iterator[Finding]:
    name, caption = image.name, image.caption
    if image.caption_error:
        yield Finding(name, "error", "caption-unreadable", image.caption_error, "save the caption as UTF-8 text")
        return
    if caption is None:
        yield Finding(name, "warn", "caption-missing", "has no caption", "write one, or let hubman draft them")
        return
    if not caption:
        yield Finding(name, "warn", "caption-empty", "its caption is empty", "write one, or let hubman draft them")
        return
    if rules.trigger and rules.trigger.lower() not in caption.lower():
        sentence = f"its caption lacks the trigger {rules.trigger!r}"
        yield Finding(name, "warn", "trigger-missing", sentence, "put the trigger first; training adds it otherwise")
    tokens = count_tokens(caption)
    if tokens > rules.max_tokens:
        cut = f"over {CUT_TOKENS} no trainer reads" if tokens > CUT_TOKENS else f"only {rules.max_tokens} are read"
        yield Finding(name, "warn", "caption-long", f"its caption has {tokens} tokens: {cut}", "put what matters first")


def _identical_captions(images: tuple[DatasetImage, ...]) -> Iterator[Finding]:
    count = Counter(image.caption for image in images if image.caption)
    for caption, times in count.items():
        if times > 1:
            sentence = f"{times} images share the caption {caption[:60]!r}"
            yield Finding(None, "warn", "caption-identical", sentence, "say what differs between them")


def _balance(images: tuple[DatasetImage, ...], rules: Rules) -> Iterator[Finding]:
    tagged = [set(split_tags(image.caption)) for image in images if image.caption and "," in image.caption]
    if len(tagged) < FEWEST:
        return
    count = Counter(tag for tags in tagged for tag in tags)
    for tag, times in count.items():
        if times == len(images) and tag.lower() != rules.trigger.lower():
            sentence = f"the tag {tag!r} is in every caption: it becomes part of what the trigger means"
            yield Finding(None, "note", "tag-everywhere", sentence, "leave it out if the trigger shall absorb it")
    once = sorted(tag for tag, times in count.items() if times == 1)
    if once:
        listed = ", ".join(once[:8]) + (f" and {len(once) - 8} more" if len(once) > 8 else "")
        yield Finding(
            None, "note", "tag-once", f"{len(once)} tags are in one caption only: {listed}", "check for typing errors"
        )
