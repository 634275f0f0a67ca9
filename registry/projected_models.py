"""The rows of ``models``, ``tags``, ``search`` and ``listing``, from the state and from ``versions``."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import PurePath
from typing import Any

import msgspec

from registry import collection_tree, listing, many, races, search_index
from registry.known import File, Known, columns

_VERSIONS = (
    "SELECT v.model_id, v.id, v.trigger_words, v.added_at FROM json_each(?) j "
    "CROSS JOIN versions v ON v.model_id = j.value ORDER BY v.model_id, v.added_at DESC, v.id"
)


def rebuild(db: sqlite3.Connection, models: Sequence[str], known: Known) -> None:
    """Rebuild everything of ``models``, also of those that have no version any more. Call inside a transaction."""
    numbers = {model: number(model) for model in models}
    asked = many.listed(models)
    versions: dict[str, list[sqlite3.Row]] = {}
    for row in db.execute(_VERSIONS, (asked,)):
        versions.setdefault(row["model_id"], []).append(row)
    many.delete(db, "tags", "model_id", asked)
    listing.remove(db, numbers.values())
    if gone := [model for model in models if model not in versions]:
        many.delete(db, "models", "id", many.listed(gone))
        search_index.remove(db, [numbers[model] for model in gone])
    known.read(versions)
    _rebuild_trash(db, models, versions, known)
    known.read_files(row["id"] for rows in versions.values() for row in rows)
    files = {model: [file for row in rows for file in known.files(row["id"])] for model, rows in versions.items()}
    _write(db, versions, files, numbers, known)
    collections = {model: held for model in versions if (held := known.sets(model).get("collections"))}
    collection_tree.rebuild_members(db, asked, collections)
    listing.rebuild(db, files)


def _rebuild_trash(
    db: sqlite3.Connection, models: Sequence[str], versions: Mapping[str, Sequence[sqlite3.Row]], known: Known
) -> None:
    trashed = {
        model: [row["id"] for row in rows] for model, rows in versions.items() if "deleted_at" in known.best(model)
    }
    races.rebuild_trash(db, models, trashed)


def number(model: str) -> int:
    """FTS5 finds a row quickly by its number only, so the number follows from the id."""
    return int.from_bytes(hashlib.sha256(model.encode()).digest()[:8], "big") >> 1


def _write(
    db: sqlite3.Connection,
    versions: Mapping[str, list[sqlite3.Row]],
    files: Mapping[str, Sequence[File]],
    numbers: Mapping[str, int],
    known: Known,
) -> None:
    rows: list[dict[str, Any]] = []
    said: dict[str, tuple[int, search_index.Texts]] = {}
    for model, of_model in versions.items():
        names = [file.shown_name for file in files[model]]
        tags = known.sets(model).get("tags", [])
        row = {**_row(model, of_model, names, tags, known), "search_id": numbers[model]}
        rows.append(row)
        triggers = " ".join(word for version in of_model for word in msgspec.json.decode(version["trigger_words"]))
        words = (row["name"], " ".join(names), triggers, " ".join(tags), row["notes"] or "", row.get("creator") or "")
        said[model] = numbers[model], words
    many.write(db, "models", rows, key=itemgetter("id"))
    tagged = [(model, tag) for model in sorted(versions) for tag in known.sets(model).get("tags", [])]
    db.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?)", tagged)
    search_index.write(db, said)


def _row(
    model: str, versions: Sequence[sqlite3.Row], names: Sequence[str], tags: Sequence[str], known: Known
) -> dict[str, Any]:
    stem = PurePath(names[0]).stem if names else model
    texts = known.texts(model)
    return {
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
        **columns(known.best(model), "model"),
    }
