"""What the checks say of a data set, and to which image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

import msgspec

Severity = Literal["error", "warn", "note"]
ORDER: dict[Severity, int] = {"error": 0, "warn": 1, "note": 2}


class Finding(msgspec.Struct, frozen=True):
    """One thing to know about a dataset; ``image`` is an image's name, or None where it concerns the whole set."""

    image: str | None
    severity: Severity
    code: str
    """Stable, for programs: ``damaged``, ``small``, ``near-duplicate``..."""
    sentence: str
    remedy: str
    others: tuple[str, ...] = ()
    """The other images that it is about: those of a group of duplicates, or with the same caption."""


def has_errors(findings: Iterable[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def by_image(findings: Iterable[Finding]) -> dict[str | None, tuple[Finding, ...]]:
    """The findings of each image that has some, the worst first; under None those of the whole set."""
    grouped: dict[str | None, list[Finding]] = defaultdict(list)
    for finding in sorted(findings, key=lambda finding: ORDER[finding.severity]):
        grouped[finding.image].append(finding)
    return {image: tuple(found) for image, found in grouped.items()}


def worth_leaving(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The images that do harm or are there twice, so that a person may leave them out in one go."""
    harmful = (finding.image for finding in findings if finding.code in HARMFUL and finding.image)
    return tuple(dict.fromkeys(harmful))


HARMFUL = frozenset({"damaged", "too-small", "duplicate", "near-duplicate", "blurred"})
"""Codes of what is better left out than trained. Of duplicates the best one has no finding, so it stays."""
