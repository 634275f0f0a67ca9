"""What sidecars say becomes facts of the source ``sidecar``: above the header's, below Civitai's and the person's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from registry import changes, ids, inherit, projection, sidecar_store
from registry.sidecar_record import Sidecar
from registry.sidecar_store import Row, cut


def sidecar_changes(
    db: sqlite3.Connection, read: Sidecar, version: str, *, is_new: bool, before: Sequence[Row] | None = None
) -> Iterator[changes.Change]:
    """The facts that are news. Sets and texts have no source, so of content that was known before only what no sidecar
    said of it until now comes in: what a person took away does not come back.

    ``before`` is what sidecars said until now; without it that is looked up, and where nothing is known it is taken for
    all of it. Call it before :func:`registry.sidecar_store.keep` forgets what was said, and apply each change before
    the next is made: the first may lead to another model. Dialects that are off say nothing.
    """
    said = sidecar_store.wanted(db, read)
    if said is None:
        return
    left = _model_of(db, version)
    joined = {"model": ids.civitai_model_id(said.model_number)} if said.model_number else {}
    yield from _facts(db, version, {**said.version, **joined})
    model = _model_of(db, version)
    if model != left:
        yield from inherit.adopting(db, left, model)
    # What kind a file is of its header knows better; a pickle has none that is read.
    is_opened = db.execute("SELECT tensor_count FROM files WHERE version_id = ?", (version,)).fetchone()[0] > 0
    yield from _facts(db, model, {name: value for name, value in said.model.items() if name != "kind" or not is_opened})
    known = [] if is_new else sidecar_store.said_before(db, version, read) if before is None else before
    if is_new or known or before is not None:
        yield from _missing(db, version, "trigger_words", said.trigger_words, known)
        yield from _missing(db, model, "tags", said.tags, known)
        yield from _text(db, model, "notes", said.notes, known)
        yield from _text(db, model, "description", said.description, known)
        yield from _text(db, version, "changelog", said.changelog, known)


def taken_away(db: sqlite3.Connection, item: str) -> list[Row]:
    """What sidecars said of ``item``, as which a file was listed so far, and a person took away from it."""
    model = _model_of(db, item)
    sets = {"trigger_words": item, "tags": model}
    texts = {"notes": model, "description": model, "changelog": item}
    left = {name: {one.casefold() for one in projection.members(db, of, name)} for name, of in sets.items()}
    emptied = {name for name, of in texts.items() if not projection.text_of(db, of, name)}
    return [
        msgspec.structs.replace(
            row,
            said={name: [one for one in row.said.get(name, []) if one.casefold() not in left[name]] for name in sets}
            | {name: row.said[name] for name in emptied if name in row.said},
        )
        for row in sidecar_store.rows_of(db, item)
    ]


def _model_of(db: sqlite3.Connection, version: str) -> str:
    return str(projection.best_facts(db, version).get("model", (version, ""))[0])


def _facts(db: sqlite3.Connection, item: str, facts: Mapping[str, object]) -> Iterator[changes.Change]:
    rows = db.execute("SELECT field, value FROM facts WHERE item = ? AND source = 'sidecar'", (item,))
    known = {name: msgspec.json.decode(value) for name, value in rows}
    for name, value in facts.items():
        if known.get(name) != value:
            yield changes.set_field(db, item, "sidecar", name, value)


def _missing(
    db: sqlite3.Connection, item: str, name: str, values: tuple[str, ...], known: Sequence[Row]
) -> Iterator[changes.Change]:
    present = {value.casefold() for value in projection.members(db, item, name)}
    present |= {str(value).casefold() for row in known for value in row.said.get(name, [])}
    for value in values:
        if value.casefold() not in present:
            yield changes.add_to_set(db, item, name, value)


def _text(db: sqlite3.Connection, item: str, name: str, text: str, known: Sequence[Row]) -> Iterator[changes.Change]:
    """A text that was not there before, or the new form of one that nobody changed since a sidecar said it."""
    told = {row.said.get(name) for row in known} - {None}
    shown = projection.text_of(db, item, name) or ""
    if text and text != shown and cut(text) not in told and (not shown or cut(shown) in told):
        yield changes.write_text(db, item, name, text)
