"""The LoRAs that are gathered in Library to be drawn together in Generate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from registry.records import ModelDetail, VersionRow
from tui import formats

MOST = 3
"""Above three LoRAs their effects can't be told apart any more, and most bases break."""


@dataclass(frozen=True)
class Part:
    """A version of a model in the combo. ``base`` is what tells whether it fits to others; empty where unknown."""

    model: str
    version: str
    name: str
    base: str


@dataclass
class Combo:
    """At most :data:`MOST` LoRAs for one base."""

    parts: list[Part] = field(default_factory=list)

    @property
    def models(self) -> frozenset[str]:
        return frozenset(part.model for part in self.parts)

    @property
    def words(self) -> str:
        """Its LoRAs by name, short enough for a line of status."""
        return " + ".join(part.name for part in self.parts)

    def why_not(self, part: Part) -> str:
        """Why ``part`` can't be added, in words; empty when it can."""
        if len(self.parts) >= MOST:
            return f"the combo is full: {self.words}; x on one of them takes it out"
        other = next((one for one in self.parts if one.base and part.base and one.base != part.base), None)
        if other is not None:
            return f"{part.name} is for {part.base} and {other.name} for {other.base}: a picture has one base"
        return ""

    def toggle(self, part: Part) -> str:
        """Take the version's model out if it is in, else add it; returns why that can't be, or nothing."""
        if part.model in self.models:
            self.parts = [one for one in self.parts if one.model != part.model]
            return ""
        reason = self.why_not(part)
        if not reason:
            self.parts = [*self.parts, part]
        return reason

    def renamed(self, now: Mapping[str, tuple[str, str]]) -> None:
        """Hold by their ids of now, (model, version), the parts whose files were hashed meanwhile."""
        self.parts = [
            replace(
                part,
                model=now.get(part.model, (part.model, ""))[0],
                version=now.get(part.version, ("", part.version))[1],
            )
            for part in self.parts
        ]

    def clear(self) -> Sequence[Part]:
        """Empty it; returns what was in it."""
        parts, self.parts = self.parts, []
        return parts


def part_of(model: ModelDetail, version: VersionRow) -> Part:
    """A version as a part. Its base is the architecture, which all finetunes of a base share."""
    return Part(model.id, version.id, formats.one_line(model.name), version.architecture or version.base_model or "")
