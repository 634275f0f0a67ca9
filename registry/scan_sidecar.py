"""What sidecars say becomes facts of the source ``sidecar``: above the header's, below Civitai's and the person's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

import msgspec

from registry import changes, ids, inherit, projection
from registry.sidecar_dialects import Sidecar


def sidecar_changes(db: sqlite3.Connection, said: Sidecar, version: str, *, is_new: bool) -> Iterator[changes.Change]:
    """The facts that are news. Sets and texts have no source, so they are only filled in with new content: what a
    person took away does not come back.
    """
    before = _model_of(db, version)
    joined = {"model": ids.civitai_model_id(said.model_number)} if said.model_number else {}
    yield from _facts(db, version, {**said.version, **joined})
    model = _model_of(db, version)
    if model != before:
        yield from inherit.adopting(db, before, model)
    # What kind a file is of its header knows better; a pickle has none that is read.
    is_opened = db.execute("SELECT tensor_count FROM files WHERE version_id = ?", (version,)).fetchone()[0] > 0
    yield from _facts(db, model, {name: value for name, value in said.model.items() if name != "kind" or not is_opened})
    if is_new:
        yield from _missing(db, version, "trigger_words", said.trigger_words)
        yield from _missing(db, model, "tags", said.tags)
        for name, text in (("notes", said.notes), ("description", said.description)):
            if text and not projection.text_of(db, model, name):
                yield changes.write_text(db, model, name, text)


def _model_of(db: sqlite3.Connection, version: str) -> str:
    return str(projection.best_facts(db, version).get("model", (version, ""))[0])


def _facts(db: sqlite3.Connection, item: str, facts: Mapping[str, object]) -> Iterator[changes.Change]:
    rows = db.execute("SELECT field, value FROM facts WHERE item = ? AND source = 'sidecar'", (item,))
    known = {name: msgspec.json.decode(value) for name, value in rows}
    for name, value in facts.items():
        if known.get(name) != value:
            yield changes.set_field(db, item, "sidecar", name, value)


def _missing(db: sqlite3.Connection, item: str, name: str, values: tuple[str, ...]) -> Iterator[changes.Change]:
    present = {value.casefold() for value in projection.members(db, item, name)}
    for value in values:
        if value.casefold() not in present:
            yield changes.add_to_set(db, item, name, value)
