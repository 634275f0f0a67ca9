"""What a person said of one item goes on to hold of the item that takes its place."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Literal

import msgspec

from registry import changes, projection
from registry.fields import FIELDS, SETS, TEXTS

_NEVER = {
    "deleted_at",
    "model",
    "cover",
    "published_url",
    "hub_url",
    "run_id",
    "replaced_by",
    "civitai_version_id",
    "civitai_model_id",
}
"""Facts that belong to the old item alone."""

Level = Literal["model", "version"]


def inheriting(db: sqlite3.Connection, old: str, new: str) -> Iterator[changes.Change]:
    """A file was replaced in place: the person's facts, sets and texts of the old content's version, said of the new.

    A version of a model with an identity of its own, such as one that Civitai knows, makes the new one a version of
    the same model. Pictures stay behind: they show what the old weights drew.
    """
    model = projection.best_facts(db, old).get("model")
    if model is not None and model[0] != old:
        yield changes.set_field(db, new, "file", "model", model[0])
    yield from _facts(db, old, new, "user", {"model", "version"})
    yield from _sets_and_texts(db, old, new, {"model", "version"})


def adopting(db: sqlite3.Connection, old: str, new: str) -> Iterator[changes.Change]:
    """A version moved to another model: what the person said of the old model and not of the new, said of the new.

    So is what its training said: a LoRA that was made here stays so when Civitai knows it too.
    """
    for source in ("user", "training"):
        yield from _facts(db, old, new, source, {"model"})
    yield from _sets_and_texts(db, old, new, {"model"})


def merging(db: sqlite3.Connection, old: str, new: str) -> Iterator[changes.Change]:
    """A version gives way to another of the same weights: what the person said of the old one and not of the new."""
    yield from _facts(db, old, new, "user", {"version"})
    yield from _sets_and_texts(db, old, new, {"version"})


def _facts(db: sqlite3.Connection, old: str, new: str, source: str, levels: set[Level]) -> Iterator[changes.Change]:
    statement = "SELECT field, value FROM facts WHERE item = ? AND source = ? ORDER BY field"
    said = dict(db.execute(statement, (new, source)).fetchall())
    for name, value in db.execute(statement, (old, source)).fetchall():
        field = FIELDS.get(name)
        wanted = field is not None and field.of in levels and name not in _NEVER
        if wanted and value != "null" and said.get(name, "null") == "null":
            yield changes.set_field(db, new, source, name, msgspec.json.decode(value))


def _sets_and_texts(db: sqlite3.Connection, old: str, new: str, levels: set[Level]) -> Iterator[changes.Change]:
    for name, level in SETS.items():
        if level in levels and name != "previews":
            present = set(projection.members(db, new, name))
            for member in projection.members(db, old, name):
                if member not in present:
                    yield changes.add_to_set(db, new, name, member)
    for name, level in TEXTS.items():
        text = projection.text_of(db, old, name) if level in levels else None
        if text and text not in (projection.text_of(db, new, name) or ""):
            yield changes.add_text(db, new, name, text)
