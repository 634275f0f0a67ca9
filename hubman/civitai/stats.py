"""What the site counts of published models: downloads, ratings, comments; pulled into the library and shown there."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from hubman.civitai.client import Civitai
from hubman.civitai.errors import MissingError
from hubman.civitai.journal import addresses
from hubman.civitai.records import RemoteModel
from registry import civitai_stats, timestamps
from registry.civitai_stats import Counts
from registry.database import Registry

_PUBLISHED = """
SELECT p.version_id, m.name AS model, v.name, p.url, p.civitai_model_id, p.civitai_version_id FROM publications p
    JOIN versions v ON v.id = p.version_id JOIN models m ON m.id = v.model_id
    WHERE p.site IN (SELECT value FROM json_each(?)) AND p.state IN ('published', 'scheduled') AND p.civitai_version_id IS NOT NULL
    ORDER BY m.name, p.created_at, p.id
"""


def pull(registry: Registry, client: Civitai, version_ids: Collection[str] = ()) -> tuple[Counts, ...]:
    """Ask about what was published on the client's site from here (or only about these versions), and keep the answers.

    A model is asked for once, however many versions it has. Raises :class:`CivitaiError` when the site can't be asked.
    """
    rows = registry.db.execute(_PUBLISHED, (addresses(client.site),)).fetchall()
    mine = [Counts(**dict(row)) for row in rows if not version_ids or row["version_id"] in version_ids]
    models = {number: _model(client, number) for number in dict.fromkeys(one.civitai_model_id for one in mine)}
    found = tuple(_counted(one, models[one.civitai_model_id]) for one in mine)
    civitai_stats.keep(registry, client.site, found)
    return found


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
