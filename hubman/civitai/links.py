"""What the library knows of a version's page without a journal of it: the ids that came from another machine."""

from __future__ import annotations

from hubman.civitai.client import Civitai
from hubman.civitai.errors import MissingError, NotOwnerError
from hubman.civitai.journal import addresses
from hubman.civitai.owned import EditVersion
from registry import library
from registry.database import Registry


def number(registry: Registry, client: Civitai, version_id: str) -> int:
    """The version's id on the client's site, or 0. Whose it is there only the site knows."""
    known = library.version(registry, version_id).civitai_id or 0
    # A rehearsal has ids of its own, and so has every other site that it was published on from here.
    sql = """SELECT 1 FROM publications WHERE version_id = ? AND civitai_version_id = ?
        AND site NOT IN (SELECT value FROM json_each(?))"""
    is_elsewhere = registry.db.execute(sql, (version_id, known, addresses(client.site))).fetchone() is not None
    return 0 if client.is_rehearsal or is_elsewhere else known


def own(client: Civitai, number: int) -> EditVersion | None:
    """A version by its id as its owner sees it; None where it is somebody else's, or gone."""
    try:
        return client.edit_version(number)
    except (NotOwnerError, MissingError):
        return None
