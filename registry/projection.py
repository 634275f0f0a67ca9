"""Rebuild what the lists show (``models``, ``versions``, ``tags``, ``previews``, ``search``, ``listing``) from the state."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import PurePath
from typing import Annotated, Any

import msgspec

from registry import collection_tree, ids, levels, listing, races, words
from registry.fields import FIELDS, SOURCES

_RANK = {source: position for position, source in enumerate(SOURCES)}
Best = dict[str, tuple[Any, str]]
"""Field name to (shown value, its source)."""


def rebuild(db: sqlite3.Connection, items: Iterable[str]) -> None:
    """Rebuild the projections that ``items`` (versions or models) take part in. Call inside a transaction."""
    models: set[str] = set()
    collections = False
    for item in items:
        races.rebuild(db, item)
        if collection_tree.is_collection(item):
            collections = True
            continue
        if item.startswith(ids.IGNORE):
            number = item.removeprefix(ids.IGNORE)
            models |= {
                row[0] for row in db.execute("SELECT id FROM models WHERE civitai_id = CAST(? AS INTEGER)", (number,))
            }
            continue
        models.add(item)
        before = db.execute("SELECT model_id FROM versions WHERE id = ?", (item,)).fetchone()
        if before:
            models.add(before[0])
        after = _rebuild_version(db, item)
        if after:
            models.add(after)
    for model in models:
        _rebuild_model(db, model)
    if collections:
        collection_tree.rebuild(db)


def best_facts(db: sqlite3.Connection, item: str) -> Best:
    """The shown value of every field of ``item``: the most trusted source's that is not empty."""
    best: Best = {}
    for field, source, value in db.execute("SELECT field, source, value FROM facts WHERE item = ?", (item,)):
        decoded = msgspec.json.decode(value)
        if decoded is None or (field in FIELDS and not FIELDS[field].fits(decoded)):
            continue
        known = best.get(field)
        if known is None or _RANK[source] < _RANK[known[1]]:
            best[field] = (decoded, source)
    return best


def members(db: sqlite3.Connection, item: str, name: str) -> list[str]:
    """The values of a set, oldest addition first."""
    rows = db.execute(
        "SELECT value, min(dot) AS first FROM set_members WHERE item = ? AND name = ? GROUP BY value ORDER BY first",
        (item, name),
    )
    return [row[0] for row in rows]


def text_of(db: sqlite3.Connection, item: str, field: str) -> str | None:
    """A long text; concurrent edits stand below one another until the next save replaces both."""
    rows = db.execute("SELECT value FROM texts WHERE item = ? AND field = ? ORDER BY dot", (item, field)).fetchall()
    return joined([row[0] for row in rows]) if rows else None


def joined(texts: Iterable[str]) -> str:
    """Texts that several machines wrote as one; what two of them wrote alike stands once."""
    return "\n\n".join(dict.fromkeys(texts))


def _sets(db: sqlite3.Connection, item: str) -> dict[str, list[str]]:
    """All sets of an item, each oldest addition first."""
    found: dict[str, list[str]] = {}
    sql = "SELECT name, value FROM set_members WHERE item = ? GROUP BY name, value ORDER BY min(dot)"
    for name, value in db.execute(sql, (item,)):
        found.setdefault(name, []).append(value)
    return found


def _texts(db: sqlite3.Connection, item: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for field, value in db.execute("SELECT field, value FROM texts WHERE item = ? ORDER BY dot", (item,)):
        found.setdefault(field, []).append(value)
    return {field: joined(values) for field, values in found.items()}


# The metadata of a file is longer than all the rest of it, and no list shows it.
_FILES = (
    "SELECT sha256, size, network_type, architecture, rank, alpha, damage, added_at FROM files "
    "WHERE version_id = ? ORDER BY added_at, sha256"
)


def _rebuild_version(db: sqlite3.Connection, version: str) -> str | None:
    """Returns the id of the model that the version belongs to, or None if there is no such version (any more)."""
    files = db.execute(_FILES, (version,)).fetchall()
    best = best_facts(db, version)
    if not files or _is_past(db, files[0], best):
        db.execute("DELETE FROM versions WHERE id = ?", (version,))
        return None
    file = files[0]
    sets = _sets(db, version)
    model = str(best["model"][0]) if "model" in best else version
    row = {
        "id": version,
        "name": "",
        "architecture": file["architecture"],
        "changelog": _texts(db, version).get("changelog"),
        "network_type": file["network_type"],
        "rank": file["rank"],
        "alpha": file["alpha"],
        "size": file["size"],
        "trigger_words": msgspec.json.encode(sets.get("trigger_words", [])).decode(),
        "added_at": file["added_at"],
        "is_damaged": any(one["damage"] is not None for one in files),
        **_columns(best, "version"),
        "model_id": model,
    }
    row["preview"] = _rebuild_previews(db, version, sets.get("previews", []), best)
    _replace(db, "versions", row)
    return model


def _is_past(db: sqlite3.Connection, file: sqlite3.Row, best: Best) -> bool:
    """Whether a version is history: damaged, or replaced in place by its successor, and no longer on this machine."""
    if file["damage"] is None and "replaced_by" not in best:
        return False
    sql = "SELECT 1 FROM places WHERE sha256 = ? AND state <> 'missing'"
    return db.execute(sql, (file["sha256"],)).fetchone() is None


def _columns(best: Best, of: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, (value, source) in best.items():
        field = FIELDS.get(name)
        if field is None or field.of != of:
            continue
        shown[field.stored_as] = msgspec.json.encode(value).decode() if field.type == "json" else value
        sources[name] = source
    shown["sources"] = msgspec.json.encode(sources, order="sorted").decode()
    return shown


def _replace(db: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    marks = ", ".join("?" for _ in row)
    db.execute(f"INSERT OR REPLACE INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608


_Number = Annotated[int, msgspec.Meta(ge=-(1 << 53), le=1 << 53)]


class _PreviewBody(msgspec.Struct):
    """What a preview's record must be for the preview to be shown; it may come from anywhere."""

    name: str = ""
    width: _Number = 0
    height: _Number = 0
    nsfw_level: _Number = 0
    position: _Number | None = None
    generation: dict[str, Any] = {}
    source: str = "user"
    added_at: str = ""


_decode_preview = msgspec.json.Decoder(_PreviewBody).decode


def _rebuild_previews(db: sqlite3.Connection, version: str, shown: list[str], best: Best) -> str | None:
    """Returns the SHA-256 of the first picture. A person's word on a picture's level counts more than the record's."""
    db.execute("DELETE FROM previews WHERE version_id = ?", (version,))
    if not shown:
        return None
    for number, sha256 in enumerate(shown):
        sql = "SELECT body FROM records WHERE kind = 'preview' AND id = ?"
        record = db.execute(sql, (f"{version}/{sha256}",)).fetchone()
        try:
            body = _decode_preview(record[0]) if record else None
        except msgspec.ValidationError:
            body = None
        if body is None:
            continue
        position = body.position if body.position is not None else number
        level = best.get(levels.field_of(sha256), (None, ""))[0]
        row = {
            "version_id": version,
            "sha256": sha256,
            **msgspec.structs.asdict(body),
            "nsfw_level": level if levels.is_level(level) else body.nsfw_level,
            "position": -1 if sha256 == best.get("cover", ("", ""))[0] else position,
            "generation": msgspec.json.encode(body.generation).decode(),
        }
        _replace(db, "previews", row)
    first = db.execute(_FIRST_PREVIEW, (version,)).fetchone()
    return first[0] if first else None


_FIRST_PREVIEW = "SELECT sha256 FROM previews WHERE version_id = ? ORDER BY position, added_at, sha256 LIMIT 1"
_VERSIONS = "SELECT id, trigger_words, added_at FROM versions WHERE model_id = ? ORDER BY added_at DESC, id"


def _rebuild_model(db: sqlite3.Connection, model: str) -> None:
    versions = db.execute(_VERSIONS, (model,)).fetchall()
    db.execute("DELETE FROM tags WHERE model_id = ?", (model,))
    listing.remove(db, _search_rowid(model))
    if not versions:
        races.rebuild_trash(db, model, [], is_trashed=False)
        db.execute("DELETE FROM models WHERE id = ?", (model,))
        db.execute("DELETE FROM search WHERE rowid = ?", (_search_rowid(model),))
        collection_tree.rebuild_members(db, model, [])
        return
    files = [file for version in versions for file in _file_names(db, version["id"])]
    stem = PurePath(files[0]).stem if files else model
    best = best_facts(db, model)
    races.rebuild_trash(db, model, [row["id"] for row in versions], is_trashed="deleted_at" in best)
    sets = _sets(db, model)
    tags = sets.get("tags", [])
    texts = _texts(db, model)
    row = {
        "id": model,
        "name": stem,
        "kind": "lora",
        "origin": "found",
        "alias": stem,
        "notes": texts.get("notes"),
        "description": texts.get("description"),
        "added_at": min(version["added_at"] for version in versions),
        "version_id": versions[0]["id"],
        "versions": len(versions),
        "tag_list": msgspec.json.encode(sorted(tags)).decode(),
        "search_id": _search_rowid(model),
        **_columns(best, "model"),
    }
    _replace(db, "models", row)
    collection_tree.rebuild_members(db, model, sets.get("collections", []))
    db.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?)", [(model, tag) for tag in tags])
    triggers = " ".join(word for version in versions for word in msgspec.json.decode(version["trigger_words"]))
    said = (row["name"], " ".join(files), triggers, " ".join(tags), row["notes"] or "", row.get("creator") or "")
    _index_words(db, model, said)
    listing.rebuild(db, model)


def _index_words(db: sqlite3.Connection, model: str, texts: tuple[str, ...]) -> None:
    """Most edits, such as a rating, change no word: to compare takes a tenth of the time that to index takes."""
    number = _search_rowid(model)
    columns = "name, files, triggers, tags, notes, creator"
    known = db.execute(f"SELECT {columns} FROM search WHERE rowid = ?", (number,)).fetchone()  # noqa: S608 - fixed
    if known is not None and tuple(known) == texts:
        return
    db.execute("DELETE FROM search WHERE rowid = ?", (number,))
    db.execute(
        f"INSERT INTO search (rowid, model_id, {columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - fixed
        (number, model, *texts),
    )
    words.learn(db, texts)


def _file_names(db: sqlite3.Connection, version: str) -> list[str]:
    """What a version's files are called here, else where they were first seen."""
    rows = db.execute(
        "SELECT f.name, (SELECT path FROM places WHERE sha256 = f.sha256 ORDER BY state = 'missing', path LIMIT 1) "
        "FROM files f WHERE version_id = ? ORDER BY added_at, sha256",
        (version,),
    )
    return [PurePath(path).name if path else name for name, path in rows]


def _search_rowid(model: str) -> int:
    """FTS5 finds a row quickly by its number only, so the number follows from the id."""
    return int.from_bytes(hashlib.sha256(model.encode()).digest()[:8], "big") >> 1
