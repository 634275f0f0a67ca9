"""What the checks before a publication find, and which of it a person has taken responsibility for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

import msgspec

from hubman.civitai.form import VersionPart
from hubman.civitai.journal import fingerprint
from registry.errors import HubError

HARMLESS = "harmless"
"""Accepts every warning that does no harm to others: what ``--yes`` says."""

NONE = "none"
"""Takes back what was accepted before: what ``--accept none`` says."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that stands in the way (``error``), or that a person has to accept first (``warning``).

    ``code`` names the rule and is what ``--accept`` takes; ``field`` is the form's, or empty; ``version_id`` is the
    library's where only one version is meant. ``message`` says what is wrong and ``hint`` what to do.
    """

    level: Literal["error", "warning"]
    message: str
    hint: str = ""
    code: str = ""
    field: str = ""
    version_id: str = ""
    is_harmless: bool = True
    """A warning that ``--yes`` accepts with all others of its kind."""
    accepted: bool = False
    fact: str = ""
    """What it is about beyond its message, such as the pictures that it counts."""

    @property
    def mark(self) -> str:
        """Names this very finding: who accepts it accepts nothing else of its code."""
        return fingerprint([self.code, self.field, self.version_id, self.message, self.fact])

    @property
    def is_blocking(self) -> bool:
        return self.level == "error" or not self.accepted


def error(code: str, message: str, hint: str, *, field: str = "", part: VersionPart | None = None) -> Finding:
    """Something that has to be mended."""
    where = part.version_id if part else ""
    return Finding(level="error", code=code, message=message, hint=hint, field=field, version_id=where)


def warning(
    code: str,
    message: str,
    hint: str,
    *,
    field: str = "",
    part: VersionPart | None = None,
    is_harmless: bool = True,
    fact: str = "",
) -> Finding:
    """Something that a person may take responsibility for."""
    where = part.version_id if part else ""
    return Finding(
        level="warning", code=code, message=message, hint=hint, field=field, version_id=where, is_harmless=is_harmless,
        fact=fact,
    )  # fmt: skip


class PreflightError(HubError):
    """Some check failed; ``findings`` holds all that stand in the way."""

    def __init__(self, findings: list[Finding]) -> None:
        first, *others = findings
        more = f" (and {len(others)} more: {'; '.join(other.message for other in others)})" if others else ""
        super().__init__(first.message + more, first.hint)
        self.findings = findings


def accepted(findings: Iterable[Finding], codes: Collection[str]) -> tuple[Finding, ...]:
    """The findings with those warnings accepted too that ``codes`` name; :data:`HARMLESS` names all harmless ones."""
    return tuple(
        msgspec.structs.replace(one, accepted=True)
        if one.level == "warning" and (is_named(one, codes) or (HARMLESS in codes and one.is_harmless))
        else one
        for one in findings
    )


def is_named(one: Finding, codes: Collection[str]) -> bool:
    """Whether ``codes`` hold the finding's code, or its :attr:`Finding.mark`."""
    return one.code in codes or one.mark in codes


def blocking(findings: Iterable[Finding]) -> list[Finding]:
    """What must not be there when the first byte goes out, errors first."""
    return sorted((one for one in findings if one.is_blocking), key=lambda one: one.level)
