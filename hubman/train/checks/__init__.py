"""What is wrong with a dataset, image by image, before a training spends time on it."""

from __future__ import annotations

from hubman.train.checks.batches import unfilled
from hubman.train.checks.captions import balance, caption, identical
from hubman.train.checks.counts import count, folders, left_out, other_files
from hubman.train.checks.edges import bars, watermarks
from hubman.train.checks.findings import ORDER, Finding, Severity, by_image, has_errors, worth_leaving
from hubman.train.checks.outliers import outliers
from hubman.train.checks.pictures import picture
from hubman.train.checks.rules import Rules
from hubman.train.checks.sharp import blurred
from hubman.train.checks.tokens import CountTokens, estimate_tokens
from hubman.train.checks.twins import duplicates
from hubman.train.data.dataset import Dataset
from hubman.train.data.likeness_cache import Likeness

__all__ = [
    "CountTokens",
    "Finding",
    "Rules",
    "Severity",
    "by_image",
    "check",
    "estimate_tokens",
    "has_errors",
    "worth_leaving",
]


def check(
    dataset: Dataset,
    rules: Rules | None = None,
    count_tokens: CountTokens = estimate_tokens,
    likeness: Likeness | None = None,
) -> tuple[Finding, ...]:
    """Every finding, errors first; of images that are left out only that they are.

    ``count_tokens`` is the base's tokenizer where it is at hand, ``likeness`` what CLIP said of the set.
    """
    rules = rules or Rules()
    wanted = [image for image in dataset.images if not image.left_out]
    usable = dataset.usable
    found = [
        *count(dataset, rules),
        *left_out(dataset),
        *folders(dataset),
        *other_files(dataset),
        *(finding for image in wanted for finding in picture(image, rules)),
        *blurred(usable),
        *duplicates(usable, likeness.alike if likeness else ()),
        *outliers(usable, likeness.nearest if likeness else None),
        *bars(usable),
        *watermarks(usable),
        *(finding for image in wanted for finding in caption(image, rules, count_tokens)),
        *identical(usable),
        *balance(usable, rules),
        *unfilled(usable, rules),
    ]
    return tuple(sorted(found, key=lambda finding: ORDER[finding.severity]))
