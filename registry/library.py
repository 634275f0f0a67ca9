"""The models: listing them, looking at one, finding one, and saying something of one as a change that syncs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from registry import changes, ids, inherit, projection, query, races, roots, rows, settled, timestamps, views
from registry.database import Registry
from registry.decodable import decodable
from registry.errors import NotFoundError, UsageError
from registry.records import FileRow, ModelDetail, ModelRow, Place, Preview, Replaced, RunRow, VersionRow

# reading ----------------------------------------------------------------------------------------------------------


def model_ids(registry: Registry, text: str = "") -> list[str]:
    """Ids of the models that match a query line, in its order. Raises :class:`UsageError` for a bad query."""
    return _ids(registry, text, -1)


def first_ids(registry: Registry, text: str, count: int) -> list[str]:
    """The first ``count`` of :func:`model_ids`, much sooner in a large library. Raises :class:`UsageError`."""
    return _ids(registry, text, count)


def count(registry: Registry) -> int:
    """How many models there are outside the trash."""
    return int(registry.db.execute("SELECT count(*) FROM listing WHERE NOT deleted").fetchone()[0])


def checked_at(registry: Registry) -> str:
    """When all indexed folders were last looked through; empty if never."""
    row = registry.db.execute("SELECT value FROM meta WHERE key = 'checked_at'").fetchone()
    return str(row[0]) if row else ""


def bytes_of(registry: Registry, ids: Iterable[str]) -> int:
    """The sizes of the newest versions of these models in sum."""
    models = settled.models_of(registry.db, ids)
    sql = (
        "SELECT coalesce(sum(v.size), 0) FROM json_each(?) j JOIN models m ON m.id = j.value "
        "JOIN versions v ON v.id = m.version_id"
    )
    return int(registry.db.execute(sql, (msgspec.json.encode(models).decode(),)).fetchone()[0])


def _ids(registry: Registry, text: str, limit: int) -> list[str]:
    found = query.compile_query(text, views=views.own(registry))
    cursor = registry.db.cursor()
    cursor.row_factory = None
    listed = cursor.execute(f"{found.select_ids} LIMIT :limit", {**found.parameters, "limit": limit})
    return [model for (model,) in listed.fetchall()]


def model_rows(registry: Registry, ids: Sequence[str]) -> list[ModelRow]:
    """The rows of these models, in the order of ``ids``; unknown ids are left out.

    A provisional id gives the row of the model that it is now, which may be that of another one too: each comes once.
    """
    ids = settled.models_of(registry.db, ids)
    found = rows.read(registry.db, ids, timestamps.now())
    return [found[model] for model in ids if model in found]


def list_models(registry: Registry, text: str = "") -> list[ModelRow]:
    return model_rows(registry, model_ids(registry, text))


def show(registry: Registry, model: str) -> ModelDetail:
    """Everything known of the model with this id. Raises :class:`NotFoundError`."""
    model = settled.model_of(registry.db, model)
    row = registry.db.execute("SELECT * FROM models WHERE id = ?", (model,)).fetchone()
    if row is None:
        raise NotFoundError(f"no model {model}", "hubman ls shows what is there")
    values = dict(row)
    for name in ("permissions", "sources"):
        values[name] = msgspec.json.decode(values[name])
    versions = registry.db.execute("SELECT * FROM versions WHERE model_id = ? ORDER BY added_at DESC, id", (model,))
    values["versions"] = [_version(registry, version) for version in versions]
    values["tags"] = [
        row[0] for row in registry.db.execute("SELECT tag FROM tags WHERE model_id = ? ORDER BY tag", (model,))
    ]
    values["collections"] = [
        row[0]
        for row in registry.db.execute(
            "SELECT c.name FROM collections c JOIN collection_members m ON m.collection_id = c.id "
            "WHERE m.model_id = ? AND m.is_direct ORDER BY c.name",
            (model,),
        )
    ]
    for name in ("favourite", "upstream_deleted"):
        values[name] = bool(values[name])
    return msgspec.convert({**values, "alias": values["alias"] or ""}, decodable(ModelDetail))


def version(registry: Registry, version_id: str) -> VersionRow:
    """Raises :class:`NotFoundError`."""
    version_id = settled.version_of(registry.db, version_id)
    row = registry.db.execute("SELECT * FROM versions WHERE id = ?", (version_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"no version {version_id}", "hubman ls shows what is there")
    return _version(registry, row)


def _version(registry: Registry, row: sqlite3.Row) -> VersionRow:
    values = dict(row)
    values["sources"] = msgspec.json.decode(values["sources"])
    values["trigger_words"] = msgspec.json.decode(values["trigger_words"])
    values["trigger_groups"] = projection.members(registry.db, row["id"], "trigger_groups")
    values["files"] = [_file(registry, file) for file in _of_version(registry, "files", "added_at, sha256", row["id"])]
    values["history"] = [Replaced(**dict(old)) for old in registry.db.execute(_HISTORY, (row["id"],))]
    values["previews"] = [
        _preview(preview) for preview in _of_version(registry, "previews", "position, added_at, sha256", row["id"])
    ]
    return msgspec.convert(values, decodable(VersionRow))


_HISTORY = """
WITH RECURSIVE past(sha256, path, at) AS (
    SELECT h.sha256, h.path, h.at FROM file_history h JOIN files f ON f.sha256 = h.replaced_by WHERE f.version_id = ?
    UNION
    SELECT h.sha256, h.path, h.at FROM file_history h JOIN past p ON h.replaced_by = p.sha256 AND h.at <= p.at
)
SELECT sha256, path, at FROM past ORDER BY at DESC, sha256
"""


def _of_version(registry: Registry, table: str, order: str, version_id: str) -> list[sqlite3.Row]:
    return registry.db.execute(f"SELECT * FROM {table} WHERE version_id = ? ORDER BY {order}", (version_id,)).fetchall()  # noqa: S608


_PLACES = """
SELECT path, state, problem, seen_at, verified_at FROM places WHERE sha256 = :sha256
UNION ALL SELECT path, 'trash', problem, at, NULL FROM trashed WHERE sha256 = :sha256 ORDER BY path
"""


def _file(registry: Registry, row: sqlite3.Row) -> FileRow:
    places = registry.db.execute(_PLACES, {"sha256": row["sha256"]})
    values: dict[str, Any] = {
        **dict(row),
        "sha256": "" if ids.is_provisional(row["sha256"]) else row["sha256"],
        "metadata": msgspec.json.decode(row["metadata"]),
        "places": [Place(**place) for place in places],
    }
    return msgspec.convert(values, decodable(FileRow))


def _preview(row: sqlite3.Row) -> Preview:
    return msgspec.convert({**dict(row), "generation": msgspec.json.decode(row["generation"])}, decodable(Preview))


def file_by_hash(registry: Registry, sha256: str) -> FileRow | None:
    row = registry.db.execute("SELECT * FROM files WHERE sha256 = ?", (sha256.lower(),)).fetchone()
    return _file(registry, row) if row else None


def run_of(registry: Registry, version_id: str) -> RunRow | None:
    """The training that made a version, or None."""
    row = registry.db.execute("SELECT body FROM records WHERE kind = 'run' AND id = ?", (version_id,)).fetchone()
    return msgspec.convert(msgspec.json.decode(row[0]), decodable(RunRow)) if row else None


# finding one ------------------------------------------------------------------------------------------------------


def resolve(registry: Registry, ref: str) -> tuple[str, str]:
    """(model id, version id) that ``ref`` means: an id, a unique prefix of an id or hash, a name, an alias or a path.

    Of several models of one name it is the one whose file is here, where only one is.

    Raises :class:`NotFoundError` when nothing fits and :class:`UsageError` when several models do.
    """
    text = settled.version_of(registry.db, ref.strip())
    if not text:
        raise UsageError("an empty name means no model", "hubman ls shows what is there")
    wanted = {"ref": text, "low": text.lower(), "path": str(roots.absolute(Path(text)))}
    for sql in _LOOKUPS:
        found = registry.db.execute(sql, wanted).fetchall()
        models = {row[0] for row in found}
        if len(models) > 1 and sql in _BY_NAME and len(here := _here(registry, models)) == 1:
            found, models = [row for row in found if row[0] in here], here
        if len(models) == 1:
            return found[0][0], found[0][1]
        if models:
            names = ", ".join(sorted({f"{row[2]} ({row[0][:8]})" for row in found})[:4])
            raise UsageError(f"{text} means {len(models)} models: {names}", "use the id")
    raise NotFoundError(f"no model called {text}", "hubman ls shows what is there; hubman scan finds new files")


def _here(registry: Registry, models: set[str]) -> set[str]:
    """Those of ``models`` with a file that is present."""
    sql = (
        "SELECT DISTINCT v.model_id FROM versions v JOIN files f ON f.version_id = v.id "
        "JOIN places p ON p.sha256 = f.sha256 AND p.state = 'present' WHERE v.model_id IN (SELECT value FROM json_each(?))"
    )
    return {row[0] for row in registry.db.execute(sql, [json.dumps(sorted(models))])}


_BY = "SELECT m.id, v.id, m.name FROM models m JOIN versions v ON v.model_id = m.id "
_ORDER = " ORDER BY v.added_at DESC, v.id"
_BY_NAME = (_BY + "WHERE m.name = :ref COLLATE NOCASE" + _ORDER, _BY + "WHERE m.alias = :ref" + _ORDER)
_LOOKUPS = (
    _BY + "WHERE v.id = :low" + _ORDER,
    _BY + "WHERE m.id = :low" + _ORDER,
    _BY + "JOIN files f ON f.version_id = v.id JOIN places p ON p.sha256 = f.sha256 WHERE p.path IN (:ref, :path)" + _ORDER,
    *_BY_NAME,
    _BY + "WHERE length(:ref) >= 4 AND (substr(v.id, 1, length(:low)) = :low OR substr(m.id, 1, length(:low)) = :low)" + _ORDER,
    _BY + "JOIN files f ON f.version_id = v.id WHERE length(:ref) >= 6 AND (substr(f.sha256, 1, length(:low)) = :low "
    "OR substr(f.autov3, 1, length(:low)) = :low OR substr(f.blake3, 1, length(:low)) = :low)" + _ORDER,
)  # fmt: skip


def is_called(registry: Registry, name: str) -> bool:
    """Whether some model has this name or alias, so that a second one of it would make both ambiguous."""
    sql = "SELECT 1 FROM models WHERE name = :name COLLATE NOCASE OR alias = :name LIMIT 1"
    return registry.db.execute(sql, {"name": name}).fetchone() is not None


def word_for(registry: Registry, model: str) -> str:
    """The model's name if :func:`resolve` takes it for this model, else its id."""
    name = show(registry, model).name
    try:
        return name if resolve(registry, name)[0] == model else model
    except (NotFoundError, UsageError):
        return model


# writing ----------------------------------------------------------------------------------------------------------


def set_facts(registry: Registry, item: str, source: str, facts: Mapping[str, object]) -> None:
    """Say several facts of one item at once; a value that is already said is not said again.

    A version that comes to another model by its ``model`` fact takes along what the person said of the old one.
    """
    with registry.transaction() as db:
        targets = {field: settled.target_of(db, item, field) for field in facts}
        for target in dict.fromkeys(targets.values()):
            said = {field: value for field, value in facts.items() if targets[field] == target}
            _set_facts(db, target, source, said)


def _set_facts(db: sqlite3.Connection, item: str, source: str, facts: Mapping[str, object]) -> None:
    before = _model_of(db, item)
    if source == "user" and facts.get("deleted_at"):
        facts = {**facts, races.SEEN: races.seen_of(db, item)}
    made = [
        changes.set_field(db, item, source, field, value)
        for field, value in facts.items()
        if not _is_said(db, item, source, field, value)
    ]
    touched = changes.record(db, made) | {item}
    after = _model_of(db, item)
    if after != before:
        touched |= changes.record(db, inherit.adopting(db, before, after))
    projection.rebuild(db, touched)


def _model_of(db: sqlite3.Connection, version_id: str) -> str:
    return str(projection.best_facts(db, version_id).get("model", (version_id, ""))[0])


def _is_said(db: sqlite3.Connection, item: str, source: str, field: str, value: object) -> bool:
    row = db.execute(
        "SELECT value FROM facts WHERE item = ? AND field = ? AND source = ?", (item, field, source)
    ).fetchone()
    if row is None:
        return value is None
    return bool(msgspec.json.decode(row[0]) == value)


def write_text(registry: Registry, item: str, field: str, value: str) -> None:
    with registry.transaction() as db:
        item = settled.target_of(db, item, field)
        if projection.text_of(db, item, field) != value:
            projection.rebuild(db, changes.record(db, [changes.write_text(db, item, field, value)]))


def update_set(
    registry: Registry, item: str, name: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> None:
    """Add to and remove from one of an item's sets (:data:`registry.fields.SETS`)."""
    with registry.transaction() as db:
        item = settled.target_of(db, item, name)
        present = set(projection.members(db, item, name))
        made = [changes.remove_from_set(db, item, name, value) for value in dict.fromkeys(remove) if value in present]
        made += [changes.add_to_set(db, item, name, value) for value in dict.fromkeys(add) if value not in present]
        projection.rebuild(db, changes.record(db, made) | {item})


def replace_set(registry: Registry, item: str, name: str, values: Sequence[str]) -> None:
    item = settled.target_of(registry.db, item, name)
    present = projection.members(registry.db, item, name)
    update_set(registry, item, name, add=values, remove=[value for value in present if value not in values])


def add_record(registry: Registry, kind: str, record_id: str, body: Mapping[str, Any]) -> None:
    """Keep a grow-only record that syncs (kinds: ``preview``, ``run``)."""
    with registry.transaction() as db:
        projection.rebuild(db, changes.record(db, [["rec", kind, record_id, dict(body)]]))
