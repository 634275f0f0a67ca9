"""Rebuild what the lists show (``models``, ``versions``, ``tags``, ``previews``, ``runs``, ``search``) from the state."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

import msgspec

from registry import timestamps
from registry.fields import FIELDS, SOURCES

_RANK = {source: position for position, source in enumerate(SOURCES)}
Best = dict[str, tuple[Any, str]]
"""Field name to (shown value, its source)."""


def rebuild(db: sqlite3.Connection, items: Iterable[str]) -> None:
    """Rebuild the projections that ``items`` (versions or models) take part in. Call inside a transaction."""
    models: set[str] = set()
    for item in items:
        models.add(item)
        before = db.execute("SELECT model_id FROM versions WHERE id = ?", (item,)).fetchone()
        if before:
            models.add(before[0])
        after = _rebuild_version(db, item)
        if after:
            models.add(after)
    for model in models:
        _rebuild_model(db, model)


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
    return "\n\n".join(row[0] for row in rows) if rows else None


def _primary_file(db: sqlite3.Connection, version: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM files WHERE version_id = ? ORDER BY added_at, sha256 LIMIT 1", (version,)
    ).fetchone()
    return row


def _rebuild_version(db: sqlite3.Connection, version: str) -> str | None:
    file = _primary_file(db, version)
    best = best_facts(db, version)
    if file is None or _is_past(db, file, best):
        db.execute("DELETE FROM versions WHERE id = ?", (version,))
        return None
    model = str(best["model"][0]) if "model" in best else version
    row = {
        "id": version,
        "model_id": model,
        "name": "",
        "architecture": file["architecture"],
        "changelog": text_of(db, version, "changelog"),
        "network_type": file["network_type"],
        "rank": file["rank"],
        "alpha": file["alpha"],
        "size": file["size"],
        "trigger_words": msgspec.json.encode(members(db, version, "trigger_words")).decode(),
        "added_at": file["added_at"],
        **_columns(best, "version"),
    }
    row["model_id"] = model
    row["preview"] = _rebuild_previews(db, version, row.get("cover"))
    row["is_damaged"] = db.execute(_DAMAGED, (version,)).fetchone() is not None
    _replace(db, "versions", row)
    return model


_DAMAGED = "SELECT 1 FROM files WHERE version_id = ? AND damage IS NOT NULL"


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


def _rebuild_previews(db: sqlite3.Connection, version: str, cover: str | None) -> str | None:
    """Returns the SHA-256 of the first picture."""
    db.execute("DELETE FROM previews WHERE version_id = ?", (version,))
    for position, sha256 in enumerate(members(db, version, "previews")):
        record = db.execute(
            "SELECT body FROM records WHERE kind = 'preview' AND id = ?", (f"{version}/{sha256}",)
        ).fetchone()
        if record is None:
            continue
        body = msgspec.json.decode(record[0])
        row = {
            "version_id": version,
            "sha256": sha256,
            "name": body.get("name", ""),
            "width": body.get("width", 0),
            "height": body.get("height", 0),
            "nsfw_level": body.get("nsfw_level", 0),
            "position": -1 if sha256 == cover else body.get("position", position),
            "generation": msgspec.json.encode(body.get("generation", {})).decode(),
            "source": body.get("source", "user"),
            "added_at": body.get("added_at", timestamps.now()),
        }
        _replace(db, "previews", row)
    first = db.execute(_FIRST_PREVIEW, (version,)).fetchone()
    return first[0] if first else None


_FIRST_PREVIEW = "SELECT sha256 FROM previews WHERE version_id = ? ORDER BY position, added_at, sha256 LIMIT 1"


def _rebuild_model(db: sqlite3.Connection, model: str) -> None:
    versions = db.execute("SELECT * FROM versions WHERE model_id = ? ORDER BY added_at DESC, id", (model,)).fetchall()
    db.execute("DELETE FROM tags WHERE model_id = ?", (model,))
    db.execute("DELETE FROM search WHERE rowid = ?", (_search_rowid(model),))
    if not versions:
        db.execute("DELETE FROM models WHERE id = ?", (model,))
        return
    files = [file for version in versions for file in _file_names(db, version["id"])]
    stem = PurePath(files[0]).stem if files else model
    best = best_facts(db, model)
    tags = members(db, model, "tags")
    row = {
        "id": model,
        "name": stem,
        "kind": "lora",
        "origin": "found",
        "alias": stem,
        "notes": text_of(db, model, "notes"),
        "description": text_of(db, model, "description"),
        "added_at": min(version["added_at"] for version in versions),
        "version_id": versions[0]["id"],
        "versions": len(versions),
        "tag_list": msgspec.json.encode(sorted(tags)).decode(),
        "search_id": _search_rowid(model),
        **_columns(best, "model"),
    }
    _replace(db, "models", row)
    db.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?)", [(model, tag) for tag in tags])
    triggers = " ".join(word for version in versions for word in msgspec.json.decode(version["trigger_words"]))
    db.execute(
        "INSERT INTO search (rowid, model_id, name, files, triggers, tags, notes, creator) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            _search_rowid(model),
            model,
            row["name"],
            " ".join(files),
            triggers,
            " ".join(tags),
            row["notes"] or "",
            row.get("creator") or "",
        ),  # fmt: skip
    )


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
