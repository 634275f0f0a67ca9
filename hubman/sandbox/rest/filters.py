"""The parameters of ``GET /models`` as a condition and an order over the index."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from starlette.datastructures import QueryParams

from hubman.civitai.wire import iso
from hubman.sandbox.index import slug
from hubman.sandbox.rest.params import bad, choice, choices, loose, numbers, since, strict
from hubman.sandbox.world import World

_NOT_TEXT = (
    "allowNoCredit", "allowDerivatives", "allowDifferentLicense", "browsingLevel", "collectionId", "disablePoi",
    "disableMinor", "isFeatured", "pending",
)  # fmt: skip
"""Parameters whose schema wants more than text: over REST each is refused."""
_ORDERS = {
    "Highest Rated": "rating DESC, downloads DESC", "Most Downloaded": "downloads DESC", "Most Liked": "likes DESC",
    "Most Discussed": "comments DESC", "Most Collected": "collected DESC", "Most Images": "images DESC",
    "Newest": "published DESC", "Oldest": "published",
}  # fmt: skip
_NEW_CREATOR_DAYS = 30


class Filter:
    """Conditions, all of which must hold, and their values."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.values: list[object] = []

    def add(self, condition: str, *values: object) -> None:
        self.conditions.append(condition)
        self.values += values

    def among(self, expression: str, values: Sequence[object]) -> None:
        """``expression`` holds one ``{}`` where the list of marks goes."""
        self.add(expression.format(",".join("?" * len(values))), *values)

    @property
    def where(self) -> str:
        return " AND ".join(self.conditions) or "1"


def check(query: QueryParams) -> None:
    """Refuse what the list's schema refuses."""
    if wrong := sorted(set(_NOT_TEXT) & set(query.keys())):
        raise bad(wrong[0], "Invalid input", "invalid_type")
    for name in ("fileFormats", "excludedTagIds"):
        if len(query.getlist(name)) == 1:
            raise bad(name, "Invalid input: expected array, received string", "invalid_type")


def condition(world: World, query: QueryParams) -> Filter:
    """Which models ``query`` asks for. Raises :class:`RestError` for values that the schema refuses."""
    found = Filter()
    _add_kind(found, query)
    _add_words(found, query)
    _add_time(found, world, query)
    _add_access(found, world, query)
    return found


def order(query: QueryParams) -> tuple[str, list[object]]:
    """The ORDER BY and its values. A search by words is ordered by how well they fit."""
    words = query.get("query", "").strip().lower()
    chosen = _ORDERS[choice(query, "sort", "ModelSort", "Highest Rated")]
    if words:
        return "name = ? DESC, instr(name, ?) > 0 DESC, downloads DESC, id DESC", [words, words]
    return f"{chosen}, id DESC", []


def _add_kind(found: Filter, query: QueryParams) -> None:
    if types := choices(query, "types", "ModelType"):
        found.among("type IN ({})", types)
    if bases := choices(query, "baseModels", "BaseModel"):
        found.among("id IN (SELECT model_id FROM listed_versions WHERE base_model IN ({}))", bases)
    if kind := choice(query, "checkpointType", "CheckpointType"):
        found.add("checkpoint = ?", kind)
    if formats := choices(query, "fileFormats", "ModelFileFormat"):
        found.among("id IN (SELECT model_id FROM listed_versions WHERE main_format IN ({}))", formats)
    if uses := choices(query, "allowCommercialUse", "CommercialUse"):
        tests = " OR ".join("',' || commercial || ',' LIKE ?" for _ in uses)
        found.add(f"({tests})", *[f"%,{use},%" for use in uses])
    if (ids := numbers(query, "ids")) is not None:
        found.among("id IN ({})", ids)
    if (ids := numbers(query, "modelVersionIds")) is not None:
        found.among("id IN (SELECT model_id FROM listed_versions WHERE id IN ({}))", ids)


def _add_words(found: Filter, query: QueryParams) -> None:
    for word in query.get("query", "").lower().split():
        found.add("instr(words, ?) > 0", word)
    for name in ("tag", "tagname"):
        if query.get(name):
            found.add("id IN (SELECT model_id FROM listed_tags WHERE tag = ?)", query[name].strip().lower())
    if query.get("username"):
        found.add("username = ?", slug(query["username"]))


def _add_time(found: Filter, world: World, query: QueryParams) -> None:
    now = world.now()
    start = since(now, choice(query, "period", "MetricTimeframe", "AllTime"))
    mode = choice(query, "periodMode", "PeriodMode", "published")
    if start:
        found.add("published >= ?" if mode == "published" else "active >= ?", start)
    if strict(query, "newCreators"):
        first = iso(now - timedelta(days=_NEW_CREATOR_DAYS))
        found.add("user_id IN (SELECT user_id FROM listed_models GROUP BY user_id HAVING min(published) >= ?)", first)


def _add_access(found: Filter, world: World, query: QueryParams) -> None:
    now = iso(world.now())
    wanted = choice(query, "availability", "Availability")
    if wanted == "EarlyAccess":
        found.add("early_until > ?", now)
    elif wanted:
        found.add("availability = ?", wanted)
    else:
        found.add("availability != 'Unsearchable'")
    if loose(query, "earlyAccess"):
        found.add("early_until > ?", now)
    if not loose(query, "archived"):
        found.add("mode IS NULL")
    if loose(query, "supportsGeneration"):
        found.add("generates")
    if loose(query, "fromPlatform"):
        found.add("on_site")
    if loose(query, "followed") or strict(query, "favorites") or strict(query, "hidden"):
        # The sandbox's users have marked nothing and follow nobody.
        found.add("0")
