"""What a person said of models, as lines that another registry understands: one JSON object a line.

A line has what a person said, not what others did, and all by which its files are known again: hashes, Civitai's numbers,
names, sizes and places. Sets and texts are as they are shown, since nobody keeps whose each word is. Pictures and files
do not travel this way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from registry import collecting, library, projection, views
from registry.database import Registry
from registry.fields import FIELDS, ORDERED_SETS, SETS, TEXTS, Level
from registry.records import FileRow, ModelDetail, VersionRow
from registry.sidecars import is_hash

FORMAT = 1
KEPT = frozenset({name for name, field in FIELDS.items() if field.editable} | {"deleted_at", "cover"})
"""The facts that travel: what a person can edit, the trash, and the choice of a preview."""

KEPT_SETS = {name: level for name, level in SETS.items() if name not in {"previews", "collections"}}
"""The sets that travel: pictures stay behind, and collections go by their paths."""


class FileLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """By what a file is known again. ``autov3`` is its whole tensor hash; one that was not read yet has no hashes."""

    sha256: str = ""
    name: str = ""
    size: int = 0
    autov3: str | None = None
    paths: list[str] = []


class VersionLine(msgspec.Struct, kw_only=True):
    """``said`` are the person's facts. A set or text that is absent says nothing; one that is empty says that it is."""

    said: dict[str, Any] = {}
    sets: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    civitai_version_id: int | None = None
    files: list[FileLine] = []


class ModelLine(msgspec.Struct, kw_only=True):
    """One model. ``model`` is how it is called, for whoever reads the file."""

    hubman: int = FORMAT
    model: str
    said: dict[str, Any] = {}
    sets: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    collections: list[str] = []
    civitai_model_id: int | None = None
    versions: list[VersionLine] = []


class CollectionLine(msgspec.Struct, kw_only=True):
    """A collection by its path, also an empty one."""

    hubman: int = FORMAT
    collection: str


class ViewLine(msgspec.Struct, kw_only=True):
    """A query with a name."""

    hubman: int = FORMAT
    view: str
    query: str


Line = ModelLine | CollectionLine | ViewLine


def lines(registry: Registry, query: str | None = None) -> Iterator[Line]:
    """The lines of the models that ``query`` finds. Without one those of all models, also in the trash, and before them
    all collections and views. Raises :class:`registry.errors.UsageError` for a bad query.
    """
    if query is not None:
        models = library.model_ids(registry, query)
    else:
        models = [row[0] for row in registry.db.execute("SELECT id FROM models ORDER BY name COLLATE NOCASE, id")]
        yield from (CollectionLine(collection=one.path) for one in collecting.listed(registry))
        yield from (ViewLine(view=name, query=line) for name, line in views.own(registry).items())
    for model in models:
        yield model_line(registry, library.show(registry, model))


def model_line(registry: Registry, model: ModelDetail) -> ModelLine:
    return ModelLine(
        model=model.name,
        said=said_of(registry.db, model.id, "model"),
        sets=sets_of(registry.db, model.id, "model"),
        texts=texts_of(registry.db, model.id, "model"),
        collections=list(model.collections),
        civitai_model_id=model.civitai_id,
        versions=[_version_line(registry, version) for version in model.versions],
    )


def _version_line(registry: Registry, version: VersionRow) -> VersionLine:
    return VersionLine(
        said=said_of(registry.db, version.id, "version"),
        sets=sets_of(registry.db, version.id, "version"),
        texts=texts_of(registry.db, version.id, "version"),
        civitai_version_id=version.civitai_id,
        files=[file_line(file) for file in version.files],
    )


def file_line(file: FileRow) -> FileLine:
    paths = [place.path for place in file.places]
    sha256 = file.sha256 if is_hash(file.sha256) else ""
    return FileLine(sha256=sha256, name=file.name, size=file.size, autov3=file.autov3, paths=paths)


def said_of(db: sqlite3.Connection, item: str, level: Level) -> dict[str, Any]:
    """The person's own facts of an item that travel."""
    rows = db.execute("SELECT field, value FROM facts WHERE item = ? AND source = 'user' ORDER BY field", (item,))
    told = {name: msgspec.json.decode(value) for name, value in rows if name in KEPT and FIELDS[name].of == level}
    return {name: value for name, value in told.items() if value is not None}


def sets_of(db: sqlite3.Connection, item: str, level: Level) -> dict[str, list[str]]:
    """The sets of an item that travel, each in its order, those without one sorted."""
    found = {name: projection.members(db, item, name) for name, of in KEPT_SETS.items() if of == level}
    return {name: values if name in ORDERED_SETS else sorted(values) for name, values in found.items()}


def texts_of(db: sqlite3.Connection, item: str, level: Level) -> dict[str, str]:
    found = {name: projection.text_of(db, item, name) for name, of in TEXTS.items() if of == level}
    return {name: text for name, text in found.items() if text is not None}


def encode(found: Sequence[Line] | Iterator[Line]) -> Iterator[bytes]:
    """Each line with its line feed."""
    for line in found:
        yield msgspec.json.encode(line) + b"\n"
