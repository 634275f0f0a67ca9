"""What one key can do about a finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubman.civitai.finding import Finding
    from hubman.civitai.form import VersionPart
    from tui.publishing import Draft


@dataclass(frozen=True)
class Fix:
    """``label`` says what is done: fields that are set, or, where there are none, pictures that are made."""

    label: str
    assignments: Mapping[str, str] = field(default_factory=dict)


_STRIP = Fix("send a copy whose header does not tell it; your file stays as it is", {"strip": "yes"})
_PICTURES = Fix("draw example pictures at the recommended strength, from the captions")
_FIXES = {
    "header-secret": _STRIP,
    "header-private": _STRIP,
    "header-prompt": _STRIP,
    "header-hash": _STRIP,
    "pictures-missing": _PICTURES,
    "pictures-few": _PICTURES,
    "pictures-silent": _PICTURES,
    "hub-pictures": _PICTURES,
    "base-licence": Fix("let nobody earn with it", {"commercial_use": "none"}),
    "schedule-past": Fix("publish at once", {"published_at": "now"}),
}


def _no_triggers(part: VersionPart) -> Fix:
    del part
    return Fix("say that it works without any", {"no_trigger_words": "yes"})


def _has_triggers(part: VersionPart) -> Fix:
    del part
    return Fix("say that it needs them", {"no_trigger_words": "no"})


def _sure_base(part: VersionPart) -> Fix | None:
    return Fix(f"yes, it is {part.base_model}", {"base_model": part.base_model}) if part.base_model else None


_OF_VERSIONS: Mapping[str, Callable[[VersionPart], Fix | None]] = {
    "triggers-missing": _no_triggers,
    "triggers-none": _has_triggers,
    "base-guessed": _sure_base,
}


def of(draft: Draft, found: Finding) -> Fix | None:
    """The fix that is offered for a finding, its fields named for the version that it is of."""
    if found.code in _FIXES:
        return _FIXES[found.code]
    make = _OF_VERSIONS.get(found.code)
    parts = draft.form.parts
    number = next((at for at, part in enumerate(parts, 1) if part.version_id == found.version_id), 0)
    fix = make(parts[number - 1]) if make and number else None
    if fix is None or len(parts) == 1:
        return fix
    return Fix(fix.label, {f"{number}.{name}": value for name, value in fix.assignments.items()})
