"""How a model was used: how often and when, at which strengths, together with what, in which pictures."""

# ruff: noqa: S608 - the parts are fixed texts, every value is bound

from __future__ import annotations

from pathlib import Path
from statistics import median

import msgspec

from registry import settled
from registry.database import Registry

_TOGETHER = 5
_PROMPTS = 3
_ACCESSORIES = ("checkpoint", "vae")
"""What nearly every picture has: told apart, so that it does not crowd out what was chosen to go along."""


class Companion(msgspec.Struct, frozen=True, kw_only=True):
    """Another model in the same pictures, and in how many."""

    model_id: str
    name: str
    kind: str
    times: int


class Strengths(msgspec.Struct, frozen=True, kw_only=True):
    """Of the pictures that say a strength."""

    low: float
    median: float
    high: float


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """``times`` counts pictures; ``together`` are what it was used with most, ``bases`` the checkpoints and VAEs below
    it; ``prompts`` are those of its latest pictures, each once.
    """

    times: int = 0
    first_at: str | None = None
    last_at: str | None = None
    strengths: Strengths | None = None
    together: tuple[Companion, ...] = ()
    bases: tuple[Companion, ...] = ()
    prompts: tuple[str, ...] = ()


class PictureUse(msgspec.Struct, frozen=True, kw_only=True):
    """A picture in which a model was used. ``found_by``: ``hash``, ``civitai`` or ``name``; ``is_here`` unless it is gone
    from the folders that are watched and from where hubman drew it.
    """

    path: str
    made_at: str
    strength: float | None
    prompt: str
    tool: str
    found_by: str
    is_here: bool


_RESOURCES = (
    "SELECT r.id FROM versions v JOIN files f ON f.version_id = v.id JOIN image_resources r ON r.sha256 = f.sha256 "
    "WHERE v.model_id = :model"
)
_IMAGES = f"SELECT DISTINCT image FROM image_uses WHERE resource IN ({_RESOURCES})"
_COMPANIONS = f"""
SELECT m.id AS model_id, m.name, m.kind, count(DISTINCT u.image) AS times
FROM ({_IMAGES}) mine JOIN image_uses u ON u.image = mine.image JOIN image_resources r ON r.id = u.resource
    JOIN files f ON f.sha256 = r.sha256 JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id
WHERE m.id <> :model AND m.deleted_at IS NULL GROUP BY m.id ORDER BY times DESC, m.name, m.id
"""
_PICTURES = f"""
SELECT coalesce((SELECT rtrim(w.folder, '/') || '/' || w.name FROM image_files w WHERE w.image = i.id LIMIT 1), i.path) AS path,
    i.made_at, u.strength, i.prompt, i.tool, r.found_by,
    EXISTS (SELECT 1 FROM image_files w WHERE w.image = i.id) AS is_watched
FROM image_uses u JOIN images i ON i.id = u.image JOIN image_resources r ON r.id = u.resource
WHERE u.resource IN ({_RESOURCES}) GROUP BY i.id ORDER BY i.made_at DESC, i.id DESC LIMIT :most
"""


def profile(registry: Registry, model: str) -> Profile:
    """How the model with this id was used; all empty if it never was."""
    (model,) = settled.models_of(registry.db, [model])
    db, mine = registry.db, {"model": model}
    times, first_at, last_at = db.execute(
        f"SELECT count(*), min(made_at), max(made_at) FROM images WHERE id IN ({_IMAGES})", mine
    ).fetchone()
    if not times:
        return Profile()
    companions = [Companion(**dict(row)) for row in db.execute(_COMPANIONS, mine)]
    bases = [one for one in companions if one.kind in _ACCESSORIES]
    return Profile(
        times=times,
        first_at=first_at,
        last_at=last_at,
        strengths=_strengths(registry, model),
        together=tuple(one for one in companions if one.kind not in _ACCESSORIES)[:_TOGETHER],
        bases=tuple(bases[:_TOGETHER]),
        prompts=_prompts(registry, model),
    )


def _strengths(registry: Registry, model: str) -> Strengths | None:
    rows = registry.db.execute(
        f"SELECT strength FROM image_uses WHERE strength IS NOT NULL AND resource IN ({_RESOURCES})", {"model": model}
    )
    found = [row[0] for row in rows]
    return Strengths(low=min(found), median=median(found), high=max(found)) if found else None


def _prompts(registry: Registry, model: str) -> tuple[str, ...]:
    rows = registry.db.execute(
        f"SELECT prompt FROM images WHERE id IN ({_IMAGES}) AND prompt <> '' GROUP BY prompt "
        "ORDER BY max(made_at) DESC, prompt LIMIT :most",
        {"model": model, "most": _PROMPTS},
    )
    return tuple(row[0] for row in rows)


def pictures(registry: Registry, model: str, most: int = -1) -> list[PictureUse]:
    """The pictures in which the model with this id was used, the latest first; at most so many unless negative."""
    (model,) = settled.models_of(registry.db, [model])
    found = []
    for row in registry.db.execute(_PICTURES, {"model": model, "most": most}):
        values = dict(row)
        is_here = bool(values.pop("is_watched")) or Path(values["path"]).is_file()
        found.append(PictureUse(**values, is_here=is_here))
    return found
