"""What the site counts of published models: downloads, ratings, comments; pulled into the library and shown there."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from hubman.civitai.client import Civitai
from hubman.civitai.errors import MissingError
from hubman.civitai.records import RemoteModel
from registry import timestamps
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


_PUBLISHED = """
SELECT p.version_id, m.name AS model, v.name, p.url, p.civitai_model_id, p.civitai_version_id FROM publications p
    JOIN versions v ON v.id = p.version_id JOIN models m ON m.id = v.model_id
    WHERE p.site = ? AND p.state IN ('published', 'scheduled') AND p.civitai_version_id IS NOT NULL
    ORDER BY m.name, p.created_at, p.id
"""
_KNOWN = """
SELECT s.version_id, m.name AS model, v.name, coalesce(v.published_url, '') AS url, s.civitai_model_id,
    s.civitai_version_id, s.downloads, s.model_downloads, s.liked, s.disliked, s.comments, s.read_at
    FROM civitai_stats s JOIN versions v ON v.id = s.version_id JOIN models m ON m.id = v.model_id
"""


def pull(registry: Registry, client: Civitai, version_ids: Collection[str] = ()) -> tuple[Counts, ...]:
    """Ask about what was published on the client's site from here (or only about these versions), and keep the answers.

    A model is asked for once, however many versions it has. Raises :class:`CivitaiError` when the site can't be asked.
    """
    rows = registry.db.execute(_PUBLISHED, (client.site,)).fetchall()
    mine = [Counts(**dict(row)) for row in rows if not version_ids or row["version_id"] in version_ids]
    models = {number: _model(client, number) for number in dict.fromkeys(one.civitai_model_id for one in mine)}
    found = tuple(_counted(one, models[one.civitai_model_id]) for one in mine)
    with registry.transaction() as db:
        db.executemany(
            "INSERT OR REPLACE INTO civitai_stats (version_id, site, civitai_model_id, civitai_version_id, downloads, liked, "
            "disliked, comments, model_downloads, read_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (one.version_id, client.site, one.civitai_model_id, one.civitai_version_id, one.downloads, one.liked,
                 one.disliked, one.comments, one.model_downloads, one.read_at)
                for one in found
            ],
        )  # fmt: skip
    return found


def known(registry: Registry, version_id: str) -> Counts | None:
    """What was counted of a version when it was last asked about."""
    row = registry.db.execute(f"{_KNOWN} WHERE s.version_id = ?", (version_id,)).fetchone()
    return Counts(**dict(row)) if row else None


def of_model(registry: Registry, model_id: str) -> Iterator[Counts]:
    """What was counted of each published version of a model."""
    for row in registry.db.execute(f"{_KNOWN} WHERE v.model_id = ? ORDER BY s.civitai_version_id", (model_id,)):
        yield Counts(**dict(row))


def _model(client: Civitai, number: int) -> RemoteModel | None:
    try:
        return client.model(number)
    except MissingError:
        return None


def _counted(one: Counts, model: RemoteModel | None) -> Counts:
    if model is None:
        return msgspec.structs.replace(one, read_at=timestamps.now())
    version = next((version for version in model.versions if version.id == one.civitai_version_id), None)
    return msgspec.structs.replace(
        one,
        downloads=version.stats.download_count if version else None,
        model_downloads=model.stats.download_count,
        liked=model.stats.thumbs_up_count,
        disliked=model.stats.thumbs_down_count,
        comments=model.stats.comment_count,
        read_at=timestamps.now(),
    )
