"""What may be seen: how pictures are drawn, up to which level, and in privacy mode nothing that tells who made what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hubman.terminal import Pictures

if TYPE_CHECKING:
    from textual.dom import DOMNode

    from registry.lineage import Lineage
    from registry.records import ModelDetail, VersionRow

_LEVELS = {"pg": 1, "pg13": 2, "r": 4, "x": 8, "xxx": 16}
"""As in ``registry.listing``, which is not imported here for the start's sake."""

_BLOCKS = Pictures("blocks", "not asked")

PRIVATE_FACETS = frozenset(("tag", "creator", "folder", "run", "collection"))
"""Facets whose values are words of a person or of a page."""

STILL_ALLOWED = frozenset(
    f"library.{name}"
    for name in (
        "filter", "mark", "mark_all", "mark_range", "invert", "cards", "facets", "sort", "back", "undo", "favourite",
        "rate_up", "rate_down", "rescan", "level",
    )
)  # fmt: skip
"""Actions of the screens that show no private word. What is not named here waits until privacy mode ends."""


@dataclass
class Looks:
    """One for the whole app. ``threshold`` is a bit of ``registry.listing.LEVELS``."""

    pictures: Pictures = _BLOCKS
    threshold: int = 2
    is_private: bool = False
    _numbers: dict[str, int] = field(default_factory=dict)

    def show_up_to(self, level: str) -> None:
        """Uncover pictures up to a level, such as ``pg13``."""
        self.threshold = _LEVELS[level]

    @property
    def up_to(self) -> str:
        return next(name for name, bit in _LEVELS.items() if bit == self.threshold)

    @property
    def has_pictures(self) -> bool:
        return self.pictures.method != "off" and not self.is_private

    def name(self, model: str, name: str) -> str:
        """``name``, or in privacy mode ``model 12``: the same one for a model until hubman ends."""
        if not self.is_private:
            return name
        return f"model {self._numbers.setdefault(model, len(self._numbers) + 1)}"

    def value(self, facet: str, value: str, number: int) -> str:
        """A facet's value, or in privacy mode its number."""
        return f"{facet} {number}" if self.is_private and facet in PRIVATE_FACETS else value

    def refuses(self, action: str) -> bool:
        return self.is_private and action not in STILL_ALLOWED


def looks_of(node: DOMNode) -> Looks:
    """The app's; of a widget that runs in another app, such as a test's, the defaults."""
    found = getattr(node.app, "looks", None)
    return found if isinstance(found, Looks) else Looks()


def redacted(model: ModelDetail, looks: Looks) -> ModelDetail:
    """What privacy mode leaves of a model: numbers, base and kind; no name, word, path or address."""
    import msgspec

    return msgspec.structs.replace(
        model,
        name=looks.name(model.id, model.name),
        creator="hidden",
        description=None,
        notes=None,
        alias="",
        tags=("hidden",),
        collections=(),
        versions=tuple(_redacted_version(version, number) for number, version in enumerate(model.versions, 1)),
    )


def _redacted_version(version: VersionRow, number: int) -> VersionRow:
    import msgspec

    from registry.records import Place, Replaced

    hidden = msgspec.structs.replace
    return hidden(
        version,
        name=f"version {number}",
        changelog=None,
        trigger_words=("hidden",),
        published_url=None,
        hub_url=None,
        previews=(),
        history=tuple(Replaced(sha256="hidden", path="hidden", at=old.at) for old in version.history),
        files=tuple(
            hidden(
                file,
                name=f"file {at}",
                autov2="hidden",
                metadata={},
                places=tuple(Place(path="hidden", state=p.state, verified_at=p.verified_at) for p in file.places),
            )
            for at, file in enumerate(version.files, 1)
        ),
    )


def redacted_lineage(lineage: Lineage) -> Lineage:
    from registry.lineage import Lineage as Known

    return Known(trained_at=lineage.trained_at, steps=lineage.steps, epoch=lineage.epoch)
