"""A file replaced in place is new content under an old name: what a person said of the old stays said of the new."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec

from registry import changes, projection
from registry.fields import FIELDS, SETS, TEXTS

_NOT_INHERITED = {"deleted_at", "model", "cover", "published_url", "run_id", "replaced_by", "civitai_version_id"}
_INHERITED_SETS = [name for name in SETS if name != "previews"]
"""Pictures show what the old weights drew."""


def inherit(db: sqlite3.Connection, old: str, new: str) -> set[str]:
    """Copy the person's facts, sets and texts from one version (and the model that it alone makes up) to another.

    A version of a model with an identity of its own, such as one that Civitai knows, makes the new one a version of
    the same model. Returns the items to rebuild. Call inside a transaction.
    """
    return changes.record(db, _inherited(db, old, new))


def _inherited(db: sqlite3.Connection, old: str, new: str) -> Iterator[changes.Change]:
    yield changes.set_field(db, old, "file", "replaced_by", new)
    model = projection.best_facts(db, old).get("model")
    if model is not None and model[0] != old:
        yield changes.set_field(db, new, "file", "model", model[0])
    rows = db.execute("SELECT field, value FROM facts WHERE item = ? AND source = 'user' ORDER BY field", (old,))
    for name, value in rows.fetchall():
        if name in FIELDS and name not in _NOT_INHERITED and value != "null":
            yield changes.set_field(db, new, "user", name, msgspec.json.decode(value))
    for name in _INHERITED_SETS:
        for member in projection.members(db, old, name):
            yield changes.add_to_set(db, new, name, member)
    for name in TEXTS:
        text = projection.text_of(db, old, name)
        if text:
            yield changes.write_text(db, new, name, text)
