"""``is:``, ``has:`` and ``lic:`` of the query line: fixed conditions by name."""

# ruff: noqa: S608 - the conditions are fixed texts

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from registry import whereabouts
from registry.errors import UsageError
from registry.listing import LICENCE, LICENCE_OPEN, UNKNOWN

# Few models are so: their numbers lead to their rows, where a look at each row would take ten times as long.
_MODELS_OF_PLACES = (
    "SELECT m.search_id FROM places p JOIN files f ON f.sha256 = p.sha256 JOIN versions w ON w.id = f.version_id "
    "JOIN models m ON m.id = w.model_id"
)
_PLACES_OF_MODEL = (
    "SELECT 1 FROM versions w JOIN files f ON f.version_id = w.id JOIN places p ON p.sha256 = f.sha256 "
    "WHERE w.model_id = l.id"
)

LICENCES = {name: f"l.licence & {bit}" for name, bit in LICENCE.items()} | {
    UNKNOWN: f"(l.licence IS NULL OR l.licence >> {LICENCE_OPEN})"
}
"""What the licence allows; what nobody told is not allowed, and ``unknown`` where it is one of the five letters."""

HAS = {
    "notes": "l.noted",
    "description": "l.described",
    "preview": "l.pictured",
    "trigger": "l.triggers <> x''",
    "tags": "l.tags <> x''",
    "strength": "l.strength IS NOT NULL",
    "rating": "l.rating > 0",
    "creator": "coalesce(l.creator, '') <> ''",
    "base": "l.base IS NOT NULL",
    "licence": "l.licence IS NOT NULL",
    "run": "l.run IS NOT NULL",
    "civitai": "l.on_civitai",
    "collection": "l.number IN (SELECT m.search_id FROM collection_members c JOIN models m ON m.id = c.model_id)",
}
HAS |= {"previews": HAS["preview"], "triggers": HAS["trigger"], "note": HAS["notes"], "tag": HAS["tags"]}

WHERE: dict[str, str] = {name: f"l.whereabouts = '{name}'" for name in whereabouts.NAMES} | {
    "here": "l.whereabouts IN ('here', 'everywhere')"
}

TESTED = (
    "(l.uses > 0 OR l.number IN (SELECT m.search_id FROM sweeps s JOIN versions w ON w.id = s.version_id "
    "JOIN models m ON m.id = w.model_id))"
)
"""A picture was drawn with it, by whatever program."""

STALE_DAYS = 90
# A file that is here, though a newer one of its model for the same base model is here too.
_SUPERSEDED = (
    "SELECT (SELECT m.search_id FROM models m WHERE m.id = v.model_id) "
    "FROM (SELECT model_id FROM versions GROUP BY model_id HAVING count(*) > 1) several "
    "CROSS JOIN versions v ON v.model_id = several.model_id JOIN versions n ON n.model_id = v.model_id "
    "AND coalesce(n.base_model, '') = coalesce(v.base_model, '') AND (n.added_at, v.id) > (v.added_at, n.id) "
    "JOIN files f ON f.version_id = v.id JOIN places p ON p.sha256 = f.sha256 AND p.state <> 'missing' "
    "LEFT JOIN usage u ON u.sha256 = f.sha256 WHERE EXISTS "
    "(SELECT 1 FROM files g JOIN places q ON q.sha256 = g.sha256 WHERE g.version_id = n.id AND q.state <> 'missing')"
)

IS = {
    "fav": "l.favourite",
    "missing": f"l.number IN ({_MODELS_OF_PLACES} WHERE p.state = 'missing' AND p.state <> 'present') "
    f"AND NOT EXISTS ({_PLACES_OF_MODEL} AND p.state <> 'missing')",
    "offline": f"l.number IN ({_MODELS_OF_PLACES} WHERE p.state = 'offline') "
    f"AND NOT EXISTS ({_PLACES_OF_MODEL} AND p.state IN ('present', 'damaged'))",
    "elsewhere": "l.folders = x''",
    "dup": "l.duplicate",
    "published": "l.published",
    "damaged": "l.number IN (SELECT d.number FROM listing d WHERE d.damaged "
    f"UNION ALL {_MODELS_OF_PLACES} WHERE p.state = 'damaged' AND p.state <> 'present')",
    "trash": "l.deleted",
    "gone": "l.gone",
    "early": "l.early_until > :now",
    "update": "l.outdated",
    "unhashed": "l.number IN (SELECT m.search_id FROM unhashed u JOIN versions w ON w.id = u.item JOIN models m ON m.id = w.model_id)",
    "untested": f"NOT {TESTED}",
    "superseded": f"l.number IN ({_SUPERSEDED})",
    "stale": f"l.number IN ({_SUPERSEDED} AND coalesce(u.last_at, f.added_at) < :long_ago)",
}
"""``:now`` stands for this moment, ``:long_ago`` for that of :data:`STALE_DAYS` before."""
IS |= {"favourite": IS["fav"], "favorite": IS["fav"], "broken": IS["damaged"], "duplicate": IS["dup"]}


def choice(name: str, text: str, choices: Mapping[str, str]) -> str:
    """The condition called ``text``; raises :class:`UsageError` with the nearest name."""
    key = text.lower()
    if key not in choices:
        near = get_close_matches(key, choices, 1, 0.5)
        raise UsageError(
            f"{name} can't be {text}", f"did you mean {near[0]}?" if near else f"use one of {', '.join(choices)}"
        )
    return choices[key]
