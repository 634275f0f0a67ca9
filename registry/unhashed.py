"""Files that are listed before they are hashed.

A version is named by its content, and to read the content of a large library takes hours. Until then a file is an
item of its own under a provisional name (:func:`registry.ids.new_provisional_id`), listed with what its header, its
sidecars and a person say of it. Nothing of that leaves this machine; once the hash is known, :func:`resaid` says it
of the version that the file turned out to be, with the stamps that it had, so that it can still be undone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from registry import (
    changes,
    fields,
    ids,
    inherit,
    places,
    projection,
    scan_sidecar,
    settled,
    settled_steps,
    sidecar_store,
    timestamps,
)
from registry.changes import FILE_FACTS, Change
from registry.scan_facts import described_by, header_facts, preview_changes, trigger_words
from registry.scan_read import Reading, has_more_to_tell

Told = dict[str, list[str]]
_decode_told = msgspec.json.Decoder(Told).decode


def count(db: sqlite3.Connection) -> int:
    """How many listed files wait for their hash."""
    return int(db.execute("SELECT count(*) FROM unhashed").fetchone()[0])


def put(db: sqlite3.Connection, look: Reading, root: str) -> str:
    """List a file by its header; returns its item. One that is listed already keeps its name and what was said of it,
    and one that another process has hashed meanwhile stays as it is.
    """
    before = places.known_at(db, look.seen.path)
    if before is not None and before.is_hashed and before.is_still(look.seen):
        return ids.item_id(before.sha256 or "")
    known = before.sha256 if before and before.is_unhashed else None
    item = known or ids.new_provisional_id()
    places.put(db, look.seen, root=root, sha256=item, problem=look.problem, at=timestamps.now())
    row = {"size": look.seen.size, "autov2": "", "version_id": item, "metadata": "{}", **described_by(look)}
    row = {"tensor_count": 0, **row}
    names = [name for name in FILE_FACTS if name in row]
    marks = ", ".join("?" for _ in names)
    db.execute(
        f"INSERT OR REPLACE INTO files (sha256, {', '.join(names)}) VALUES (?, {marks})",  # noqa: S608 - names of ours
        (item, *(row[name] for name in names)),
    )
    sql = "INSERT INTO unhashed (item, is_described) VALUES (?, ?) ON CONFLICT DO UPDATE SET is_described = excluded.is_described"
    db.execute(sql, (item, not has_more_to_tell(look)))
    if known:
        _unsay(db, item)
    changes.record(db, header_facts(db, look, item))
    changes.record(db, trigger_words(db, look, item))
    _tell(db, item, {_OF_HEADER: list(look.identity.trigger_candidates) if look.identity else []})
    return item


_OF_HEADER = "words of the header"
"""What :data:`Told` calls the trigger words that the header and no sidecar told."""


def _unsay(db: sqlite3.Connection, item: str) -> None:
    """Take back all that the file and what lies beside it told: both are others now."""
    db.execute("DELETE FROM facts WHERE item = ? AND source <> 'user'", (item,))
    row = db.execute("SELECT told FROM unhashed WHERE item = ?", (item,)).fetchone()
    for name, values in _by_set(_decode_told(row[0]) if row else {}).items():
        for value in values:
            db.execute("DELETE FROM set_members WHERE item = ? AND name = ? AND value = ?", (item, name, value))
            db.execute("DELETE FROM texts WHERE item = ? AND field = ? AND value = ?", (item, name, value))
    db.execute(
        "DELETE FROM records WHERE kind = 'preview' AND id >= ? AND id < ? AND "
        "json_extract(body, '$.source') <> 'user'",
        (f"{item}/", f"{item}0"),
    )


def _tell(db: sqlite3.Connection, item: str, told: Told) -> None:
    db.execute("UPDATE unhashed SET told = ? WHERE item = ?", (msgspec.json.encode(told).decode(), item))


def _by_set(told: Told) -> Told:
    """What was told by the names of sets and texts."""
    found = {name: values for name, values in told.items() if name != _OF_HEADER}
    found["trigger_words"] = [*found.get("trigger_words", ()), *told.get(_OF_HEADER, ())]
    return found


def make_way(db: sqlite3.Connection, path: str, content: str) -> set[str]:
    """Before ``content`` (a hash or a provisional name) is noted at ``path``: what was listed there is that content.

    Another process may have listed a file between its move and the note of it. Returns the touched items.
    """
    before = places.known_at(db, path)
    if before is None or not before.is_unhashed or before.sha256 == content:
        return set()
    item, version = before.sha256 or "", ids.item_id(content)
    touched = changes.record(db, resaid(db, item, version, with_told=False))
    forget(db, item, version)
    return {*touched, item}


def describe(db: sqlite3.Connection, reading: Reading) -> set[str]:
    """Say what the sidecars and the picture beside a listed file tell; returns the touched items."""
    place = places.known_at(db, reading.seen.path)
    if place is None or place.sha256 is None or not ids.is_provisional(place.sha256):
        return set()
    item = place.sha256
    touched = {item}
    if reading.sidecar is not None:
        touched |= changes.record(db, scan_sidecar.sidecar_changes(db, reading.sidecar, item, is_new=True))
    beside = [(Path(problem.path), problem.reason) for problem in reading.broken]
    sidecar_store.keep(db, place.path, item, reading.sidecar, beside)
    touched |= changes.record(db, preview_changes(db, reading, item))
    row = db.execute("UPDATE unhashed SET is_described = 1 WHERE item = ? RETURNING told", (item,)).fetchone()
    of_header = _decode_told(row[0]).get(_OF_HEADER, []) if row else []
    _tell(db, item, {**_told_by(reading), _OF_HEADER: of_header})
    return touched


def _told_by(reading: Reading) -> Told:
    told: Told = {"previews": [reading.preview.sha256]} if reading.preview else {}
    said = reading.sidecar
    if said is not None:
        told |= {"trigger_words": list(said.trigger_words), "tags": list(said.tags)}
        told |= {"notes": [said.notes], "description": [said.description]}
    return told


def undescribed(db: sqlite3.Connection) -> set[str]:
    """The paths of listed files whose sidecars and pictures have not been looked at."""
    sql = "SELECT p.path FROM unhashed u JOIN places p ON p.sha256 = u.item WHERE NOT u.is_described"
    return {row[0] for row in db.execute(sql)}


def was_told(db: sqlite3.Connection, item: str, reading: Reading) -> bool:
    """Whether ``reading``, which knows the hash, makes of the sidecars and the picture what was told of ``item``."""
    told = _told(db, item)
    return told is not None and {**told, _OF_HEADER: []} == {**_told_by(reading), _OF_HEADER: []}


def resaid(db: sqlite3.Connection, item: str, version: str, *, with_told: bool) -> Iterator[Change]:
    """What was said here of ``item``, said of the version that it is; ``with_told`` also what its sidecars told.

    What was said of it as a model, before it was taken for a version of another, that other one was told then, and a
    person may have taken it back since: it is not said again.
    """
    told = {} if with_told else _by_set(_told(db, item) or {})
    levels = ("version", None) if _is_adopted(db, item) else ("version", "model", None)
    yield from _resaid(db, item, version, told, levels)
    yield from _pictures(db, item, version, told)


def _resaid(
    db: sqlite3.Connection, item: str, version: str, told: Told, levels: Collection[str | None]
) -> Iterator[Change]:
    model = model_of(db, version)
    rows = db.execute("SELECT field, value, stamp FROM facts WHERE item = ? AND source = 'user'", (item,)).fetchall()
    for name, value, stamp in rows:
        target = _target(name, version, model)
        if fields.level_of(name) in levels:
            _keep_loser(db, target, name, value, stamp)
            yield ["set", target, f"user.{name}", msgspec.json.decode(value), stamp]
    rows = db.execute("SELECT name, value, dot FROM set_members WHERE item = ? ORDER BY dot", (item,)).fetchall()
    for name, value, dot in rows:
        target = _target(name, version, model)
        is_news = value not in told.get(name, ()) and value not in projection.members(db, target, name)
        if is_news and fields.level_of(name) in levels:
            yield ["add", target, name, value, dot]
    rows = db.execute("SELECT field, value, dot FROM texts WHERE item = ? ORDER BY dot", (item,)).fetchall()
    for name, value, dot in rows:
        target = _target(name, version, model)
        is_news = value not in told.get(name, ()) and value not in (projection.text_of(db, target, name) or "")
        if is_news and fields.level_of(name) in levels:
            yield ["txt", target, name, value, dot, []]


def _is_adopted(db: sqlite3.Connection, item: str) -> bool:
    return model_of(db, item) != item


def left_behind(db: sqlite3.Connection, item: str, version: str) -> Iterator[Change]:
    """What a person said of the model that ``item`` was taken for and is no version of; where that model has other
    versions only what was said before of ``item`` itself.
    """
    model, taken_for = model_of(db, version), model_of(db, item)
    if taken_for in {model, item}:
        return
    others = db.execute("SELECT 1 FROM versions WHERE model_id = ? AND id NOT IN (?, ?)", (taken_for, item, version))
    if others.fetchone() is None:
        yield from inherit.adopting(db, taken_for, model)
    else:
        yield from _resaid(db, item, version, _by_set(_told(db, item) or {}), ("model",))


def model_of(db: sqlite3.Connection, version: str) -> str:
    return str(projection.best_facts(db, version).get("model", (version, ""))[0])


def _target(name: str, version: str, model: str) -> str:
    return version if fields.level_of(name) == "version" else model


def _told(db: sqlite3.Connection, item: str) -> Told | None:
    """What the file and what lies beside it told of ``item``, as far as somebody has looked."""
    row = db.execute("SELECT told FROM unhashed WHERE item = ?", (item,)).fetchone()
    return _decode_told(row[0]) if row else None


def _keep_loser(db: sqlite3.Connection, target: str, name: str, value: str, stamp: str) -> None:
    """The content is known already and a person said another thing of it: the later one shows, the other is kept."""
    sql = "SELECT value, stamp FROM facts WHERE item = ? AND field = ? AND source = 'user'"
    said = db.execute(sql, (target, name)).fetchone()
    if said is not None and said[0] != value:
        lost, kept = sorted([(stamp, value), (said[1], said[0])])
        sql = "INSERT INTO lost_edits (item, field, kept, lost, lost_stamp) VALUES (?, ?, ?, ?, ?)"
        db.execute(sql, (target, name, kept[1], lost[1], lost[0]))


def _pictures(db: sqlite3.Connection, item: str, version: str, told: Told) -> Iterator[Change]:
    """The records of pictures, also of those that were taken away: they must not come back."""
    sql = "SELECT id, body FROM records WHERE kind = 'preview' AND id >= ? AND id < ?"
    for record_id, body in db.execute(sql, (f"{item}/", f"{item}0")).fetchall():
        sha256 = record_id.partition("/")[2]
        if sha256 not in told.get("previews", ()):
            yield ["rec", "preview", f"{version}/{sha256}", {**msgspec.json.decode(body), "version_id": version}]


_OF_ITEM = ("facts", "set_members", "texts", "counters")


def forget(db: sqlite3.Connection, item: str, successor: str | None = None) -> None:
    """Delete all that is kept of ``item``; the journal and the trash speak of its ``successor`` (a version) from now on."""
    if successor is not None:
        settled.note(db, item, successor)
        _rename(db, item, successor)
    for table in _OF_ITEM:
        db.execute(f"DELETE FROM {table} WHERE item = ?", (item,))  # noqa: S608 - names of ours
    db.execute("DELETE FROM records WHERE kind = 'preview' AND id >= ? AND id < ?", (f"{item}/", f"{item}0"))
    db.execute("DELETE FROM files WHERE sha256 = ?", (item,))
    db.execute("DELETE FROM unhashed WHERE item = ?", (item,))


def forget_lost(db: sqlite3.Connection) -> None:
    """Forget the items of files that lie neither in a folder nor in the trash any more: they were deleted for ever."""
    rows = db.execute(
        "SELECT item FROM unhashed WHERE item NOT IN (SELECT sha256 FROM places WHERE sha256 IS NOT NULL) "
        "AND item NOT IN (SELECT sha256 FROM trashed WHERE sha256 IS NOT NULL)"
    ).fetchall()
    for (item,) in rows:
        forget(db, item)
    projection.rebuild(db, {item for (item,) in rows})


def _rename(db: sqlite3.Connection, item: str, version: str) -> None:
    model = model_of(db, version)
    settled_steps.rename(db, item, lambda name: _target(name, version, model))
    db.execute("UPDATE trashed SET model = ? WHERE model = ?", (model, item))
    db.execute(
        "UPDATE trashed SET sha256 = (SELECT sha256 FROM files WHERE version_id = ?) WHERE sha256 = ?", (version, item)
    )
