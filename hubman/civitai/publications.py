"""What the journal knows of publications, for whoever looks at them."""

from __future__ import annotations

import msgspec

from hubman.civitai.journal import addresses
from registry.database import Registry


class PublicationStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was begun; ``state`` is ``started`` or ``done``."""

    name: str
    state: str


class PublicationRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version's publication on one site, its steps in the order in which they were begun."""

    version_id: str
    site: str
    state: str
    url: str = ""
    created_at: str = ""
    steps: tuple[PublicationStep, ...] = ()


def of(registry: Registry, version_id: str, site: str) -> PublicationRow | None:
    """The newest publication of a version on a site; None where nothing was begun."""
    sql = """SELECT * FROM publications WHERE version_id = ? AND site IN (SELECT value FROM json_each(?))
        ORDER BY created_at DESC, id DESC LIMIT 1"""
    row = registry.db.execute(sql, (version_id, addresses(site))).fetchone()
    if row is None:
        return None
    steps = registry.db.execute(
        "SELECT name, state FROM publication_steps WHERE publication_id = ? ORDER BY started_at, name", (row["id"],)
    )
    return PublicationRow(
        version_id=version_id,
        site=site,
        state=row["state"],
        url=row["url"] or "",
        created_at=row["created_at"],
        steps=tuple(PublicationStep(name=step["name"], state=step["state"]) for step in steps),
    )
