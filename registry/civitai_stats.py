"""What Civitai counts of published versions, as of when it was last asked. Facts of this machine: none of it syncs."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from registry.database import Registry


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Of one published version; None is what the site doesn't tell, or no longer shows.

    ``downloads`` are the version's own, the other numbers the model's. ``read_at`` is an ISO time.
    """

    version_id: str
    model: str
    name: str
    url: str
    civitai_model_id: int
    civitai_version_id: int
    downloads: int | None = None
    model_downloads: int | None = None
    liked: int | None = None
    disliked: int | None = None
    comments: int | None = None
    read_at: str = ""

    def words(self) -> str:
        """The counts that the site tells, such as ``512 downloads, 40 liked``."""
        counts = {
            "downloads": self.downloads,
            "liked": self.liked,
            "disliked": self.disliked,
            "comments": self.comments,
        }
        return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count is not None) or "no counts"


_KNOWN = """
SELECT s.version_id, m.name AS model, v.name, coalesce(v.published_url, '') AS url, s.civitai_model_id,
    s.civitai_version_id, s.downloads, s.model_downloads, s.liked, s.disliked, s.comments, s.read_at
    FROM civitai_stats s JOIN versions v ON v.id = s.version_id JOIN models m ON m.id = v.model_id
    WHERE v.model_id = ? ORDER BY s.civitai_version_id
"""


def of_model(registry: Registry, model_id: str) -> tuple[Counts, ...]:
    """What was counted of each published version of a model, the oldest first."""
    return tuple(Counts(**dict(row)) for row in registry.db.execute(_KNOWN, (model_id,)))


def keep(registry: Registry, site: str, counts: Iterable[Counts]) -> None:
    """Take down what ``site`` counted, in the place of what it did before."""
    with registry.transaction() as db:
        db.executemany(
            "INSERT OR REPLACE INTO civitai_stats (version_id, site, civitai_model_id, civitai_version_id, downloads, liked, "
            "disliked, comments, model_downloads, read_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (one.version_id, site, one.civitai_model_id, one.civitai_version_id, one.downloads, one.liked, one.disliked,
                 one.comments, one.model_downloads, one.read_at)
                for one in counts
            ],
        )  # fmt: skip
