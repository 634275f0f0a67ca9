"""What the detail shows of a version, read in one go by a thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from hubman.sync.policies.holders import Holders
from registry import levels
from registry.civitai_stats import Counts
from registry.lineage import Lineage
from registry.records import ModelDetail
from registry.usage_profile import Profile
from tui.looks import Looks, redacted, redacted_lineage
from tui.pictures import NONE, Tile, of_version
from tui.widgets.detail import About

if TYPE_CHECKING:
    from registry.database import Registry


@dataclass(frozen=True)
class Found:
    """A model, which of its versions, where that comes from, and one of its pictures."""

    model: ModelDetail
    at: int
    lineage: Lineage
    tile: Tile
    usage: Profile = field(default_factory=Profile)
    disputed: tuple[str, ...] = ()
    counts: tuple[Counts, ...] = ()
    holders: Holders = field(default_factory=Holders)

    def about(self, looks: Looks) -> About:
        """What may be told of it."""
        tile = self.tile
        if looks.is_private:
            usage = replace(self.usage, together=(), bases=(), prompts=())
            holders = replace(self.holders, others=("hidden",) if self.holders.others else (), remotes=())
            return About(
                redacted(self.model, looks), self.at, redacted_lineage(self.lineage), usage=usage, holders=holders
            )
        picture = [f"{tile.number + 1} of {tile.of}"] if tile.of > 1 else []
        picture += [tile.level] if tile.level else []
        level = levels.name_of(looks.threshold)
        return About(
            self.model, self.at, self.lineage, level, " · ".join(picture), self.usage, self.disputed, self.counts,
            self.holders,
        )  # fmt: skip


def read(registry: Registry, model: str, at: int, picture: int, looks: Looks) -> Found:
    """Version number ``at`` of a model (0 is the newest) with its picture of that number. Raises ``NotFoundError``."""
    from hubman.sync.policies import holders
    from registry import civitai_stats, library, lineage, sidecar_view, usage_profile

    detail = library.show(registry, model)
    at = max(0, min(at, len(detail.versions) - 1))
    if not detail.versions:
        return Found(detail, 0, Lineage(), NONE)
    version = detail.versions[at]
    disputed = [one.field for one in sidecar_view.provenance(registry, detail.id).conflicts]
    return Found(
        detail,
        at,
        lineage.of(registry, version),
        of_version(registry, version.id, looks, picture, large=True),
        usage_profile.profile(registry, detail.id),
        tuple(dict.fromkeys(disputed)),
        civitai_stats.of_model(registry, detail.id),
        holders.of_version(registry, version.id),
    )
