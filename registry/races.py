"""Which edits of an item lost a race and wait for a person: the rows of ``lost_edits`` that follow from what was said.

Three kinds. ``value``: of a field a later word shows, and who said it had not seen the other (:mod:`registry.rivals`).
``text``: two machines wrote a long text, and both show until one is saved. ``trash``: a model lies in the trash, and
who put it there had not seen an edit of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from registry import clock, many

SEEN = "seen_when_trashed"
"""The fact that goes with a model's ``deleted_at``: the stamps of what stood then, as far as it was known."""

_TIMES = frozenset({"deleted_at", "removed_at"})
"""Fields of which only whether they are set counts: two machines that both trash a model agree."""


class _Race(NamedTuple):
    kind: str
    field: str
    lost: str
    lost_stamp: str
    kept: str
    kept_stamp: str


_WITH_ANY = """
SELECT j.value FROM json_each(?) j WHERE EXISTS (SELECT 1 FROM rivals r WHERE r.item = j.value)
    OR EXISTS (SELECT 1 FROM texts t WHERE t.item = j.value GROUP BY t.field HAVING count(*) > 1)
    OR EXISTS (SELECT 1 FROM lost_edits l WHERE l.item = j.value AND kind IN ('value', 'text'))
"""


def rebuild(db: sqlite3.Connection, items: Iterable[str]) -> None:
    """Bring the races of the fields and texts of ``items`` up to date. Call inside a transaction."""
    for (item,) in db.execute(_WITH_ANY, (many.listed(items),)).fetchall():
        _store(db, item, ("value", "text"), [*_values(db, item), *_texts(db, item)])


_TRASH_RACES = "SELECT l.item FROM json_each(?) j CROSS JOIN lost_edits l ON l.item = j.value WHERE l.kind = 'trash'"


def rebuild_trash(db: sqlite3.Connection, models: Iterable[str], trashed: Mapping[str, Sequence[str]]) -> None:
    """Bring up to date which of ``models`` were trashed by somebody who had not seen an edit of them.

    ``trashed`` has the versions of those that are in the trash.
    """
    known = {row[0] for row in db.execute(_TRASH_RACES, (many.listed(models),))}
    for model in sorted(known.union(trashed)):
        _store(db, model, ("trash",), list(_trash(db, model, trashed[model])) if model in trashed else [])


def seen_of(db: sqlite3.Connection, model: str) -> list[str]:
    """The stamps of what a person said of ``model`` and its versions and what stands, as far as it is known here."""
    versions = [row[0] for row in db.execute("SELECT id FROM versions WHERE model_id = ?", (model,))]
    return sorted({stamp for _, stamp in _standing(db, [model, *versions])})


def _values(db: sqlite3.Connection, item: str) -> Iterator[_Race]:
    sql = (
        "SELECT r.field, r.value AS lost, max(r.stamp) AS lost_stamp, f.value AS kept, f.stamp AS kept_stamp "
        "FROM rivals r JOIN facts f ON f.item = r.item AND f.field = r.field AND f.source = 'user' "
        "WHERE r.item = ? AND r.value <> f.value AND r.field <> ? GROUP BY r.field, r.value"
    )
    for row in db.execute(sql, (item, SEEN)):
        if row["field"] not in _TIMES or "null" in {row["lost"], row["kept"]}:
            yield _Race("value", row["field"], row["lost"], row["lost_stamp"], row["kept"], row["kept_stamp"])


def _texts(db: sqlite3.Connection, item: str) -> Iterator[_Race]:
    """Each text against the newest, equal ones counted once. One device has put its own beside each other on purpose."""
    rows = db.execute(_SIDE_BY_SIDE, (item,)).fetchall()
    newest = {row["field"]: row for row in rows}
    for row in rows:
        other = newest[row["field"]]
        if clock.device_of(row["origin"]) != clock.device_of(other["origin"]):
            lost, kept = _encode(row["value"]), _encode(other["value"])
            yield _Race("text", row["field"], lost, row["dot"], kept, other["dot"])


_SIDE_BY_SIDE = """
SELECT field, value, dot, coalesce((SELECT stands_for FROM restored WHERE stamp = dot), dot) AS origin FROM (
    SELECT field, value, max(dot) AS dot FROM texts WHERE item = ? GROUP BY field, value
) ORDER BY field, dot
"""


def _trash(db: sqlite3.Connection, model: str, versions: Iterable[str]) -> Iterator[_Race]:
    sql = "SELECT field, value, stamp FROM facts WHERE item = ? AND source = 'user' AND field IN ('deleted_at', ?)"
    said = {row["field"]: row for row in db.execute(sql, (model, SEEN))}
    # One that an older hubman trashed does not tell what it had seen.
    if said.keys() != {"deleted_at", SEEN}:
        return
    trashed = said["deleted_at"]
    try:
        seen = msgspec.json.decode(said[SEEN]["value"], type=set[str])
    except msgspec.ValidationError:
        return
    sql = "SELECT stamp FROM rivals WHERE item = ? AND field = 'deleted_at' AND value <> 'null'"
    stamps = [trashed["stamp"], said[SEEN]["stamp"], *(row[0] for row in db.execute(sql, (model,)))]
    agree = {clock.device_of(stamp) for stamp in stamps}
    unseen = [
        (stamp, name)
        for name, stamp in _standing(db, [model, *versions])
        if stamp not in seen and clock.device_of(stamp) not in agree
    ]
    if unseen:
        names = _encode(sorted({name for _, name in unseen}))
        yield _Race("trash", "deleted_at", names, max(unseen)[0], trashed["value"], trashed["stamp"])


_STANDING = """
SELECT field, stamp FROM facts
    WHERE item = :item AND source = 'user' AND value <> 'null' AND field NOT IN ('deleted_at', :seen)
UNION ALL SELECT field, dot FROM texts WHERE item = :item AND field = 'notes'
UNION ALL SELECT name, dot FROM set_members WHERE item = :item AND name = 'collections'
"""


def _standing(db: sqlite3.Connection, items: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(field, stamp) of what stands of ``items`` by a person's word. Programs too write tags and descriptions."""
    for item in dict.fromkeys(items):
        yield from db.execute(_STANDING, {"item": item, "seen": SEEN}).fetchall()


def _store(db: sqlite3.Connection, item: str, kinds: Sequence[str], wanted: Sequence[_Race]) -> None:
    """A race that goes on keeps its number."""
    marks = ", ".join("?" for _ in kinds)
    sql = f"SELECT id, kind, field, lost, lost_stamp FROM lost_edits WHERE item = ? AND kind IN ({marks})"  # noqa: S608 - marks only
    known = {tuple(row)[1:]: row["id"] for row in db.execute(sql, (item, *kinds))}
    for race in wanted:
        number = known.pop(race[:4], None)
        db.execute(
            "INSERT INTO lost_edits (id, item, kind, field, lost, lost_stamp, kept, kept_stamp) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET kept = excluded.kept, kept_stamp = excluded.kept_stamp",
            (number, item, *race),
        )
    db.executemany("DELETE FROM lost_edits WHERE id = ?", [(number,) for number in known.values()])


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()
