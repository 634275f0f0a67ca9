"""What is known of many items: the shown value of each field, their sets, texts and files, each read once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from registry import many
from registry.fields import FIELDS, SOURCES

_RANK = {source: position for position, source in enumerate(SOURCES)}
_decode = msgspec.json.decode
Best = dict[str, tuple[Any, str]]
"""Field name to (shown value, its source)."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class File(NamedTuple):
    """A file of a version, with its (path, state) on this machine, those that are missing last."""

    version: str
    sha256: str
    name: str
    size: int
    autov3: str | None
    network_type: str | None
    architecture: str | None
    rank: int | None
    alpha: float | None
    damage: str | None
    added_at: str
    places: list[tuple[str, str]]

    @property
    def shown_name(self) -> str:
        """What it is called here, else where it was first seen."""
        return self.places[0][0].rpartition("/")[2] if self.places else self.name


# The metadata of a file is longer than all the rest of it, and no list shows it.
_FILES = (
    "SELECT f.version_id, f.sha256, f.name, f.size, f.autov3, f.network_type, f.architecture, f.rank, f.alpha, f.damage, "
    "f.added_at, p.path, p.state FROM json_each(?) j CROSS JOIN files f ON f.version_id = j.value "
    "LEFT JOIN places p ON p.sha256 = f.sha256 ORDER BY f.version_id, f.added_at, f.sha256, p.state = 'missing', p.path"
)


class Known:
    """A reader that keeps what it has read. Call inside one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._best: dict[str, Best] = {}
        self._sets: dict[str, dict[str, list[str]]] = {}
        self._texts: dict[str, dict[str, str]] = {}
        self._files: dict[str, list[File]] = {}

    def read(self, items: Iterable[str]) -> None:
        """Read what was said of ``items``."""
        new = [item for item in items if item not in self._best]
        if new:
            asked = many.listed(new)
            self._best |= {item: {} for item in new} | best_facts(self._db, asked)
            self._sets |= _sets(self._db, asked)
            self._texts |= _texts(self._db, asked)

    def read_files(self, versions: Iterable[str]) -> None:
        """Read the files of ``versions`` and where they lie here."""
        new = [version for version in versions if version not in self._files]
        if new:
            self._files |= {version: [] for version in new}
            for row in self._db.execute(_FILES, (many.listed(new),)):
                facts, path, state = row[:-2], row[-2], row[-1]
                of_version = self._files[facts[0]]
                if not of_version or of_version[-1].sha256 != facts[1]:
                    of_version.append(File._make((*facts, [])))
                if path is not None:
                    of_version[-1].places.append((path, state))

    def best(self, item: str) -> Best:
        return self._best[item]

    def sets(self, item: str) -> Mapping[str, list[str]]:
        """Each oldest addition first."""
        return self._sets.get(item, _NOTHING)

    def texts(self, item: str) -> Mapping[str, str]:
        """Concurrent edits stand below one another until the next save replaces both."""
        return self._texts.get(item, _NOTHING)

    def files(self, version: str) -> Sequence[File]:
        """The earliest first."""
        return self._files[version]


def best_facts(db: sqlite3.Connection, items: str) -> dict[str, Best]:
    """The shown value of every field of each item (:func:`registry.many.listed`): the most trusted source's that is not empty."""
    sql = "SELECT f.item, f.field, f.source, f.value FROM json_each(?) j CROSS JOIN facts f ON f.item = j.value"
    found: dict[str, Best] = {}
    current, best = None, {}
    for item, field, source, value in db.execute(sql, (items,)):
        decoded = _decode(value)
        if decoded is None or (field in FIELDS and not FIELDS[field].fits(decoded)):
            continue
        if item != current:
            current, best = item, found.setdefault(item, {})
        known = best.get(field)
        if known is None or _RANK[source] < _RANK[known[1]]:
            best[field] = (decoded, source)
    return found


def _sets(db: sqlite3.Connection, items: str) -> dict[str, dict[str, list[str]]]:
    sql = (
        "SELECT s.item, s.name, s.value, min(s.dot) FROM json_each(?) j CROSS JOIN set_members s ON s.item = j.value "
        "GROUP BY s.item, s.name, s.value"
    )
    dots: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for item, name, value, dot in db.execute(sql, (items,)):
        dots.setdefault(item, {}).setdefault(name, []).append((dot, value))
    return {
        item: {name: [value for _, value in sorted(members)] for name, members in of_item.items()}
        for item, of_item in dots.items()
    }


def _texts(db: sqlite3.Connection, items: str) -> dict[str, dict[str, str]]:
    sql = (
        "SELECT t.item, t.field, t.value FROM json_each(?) j CROSS JOIN texts t ON t.item = j.value "
        "ORDER BY t.item, t.field, t.dot"
    )
    said: dict[str, dict[str, list[str]]] = {}
    for item, field, value in db.execute(sql, (items,)):
        said.setdefault(item, {}).setdefault(field, []).append(value)
    return {item: {field: joined(values) for field, values in of_item.items()} for item, of_item in said.items()}


def joined(texts: Iterable[str]) -> str:
    """Texts that several machines wrote as one; what two of them wrote alike stands once."""
    return "\n\n".join(dict.fromkeys(texts))


def columns(best: Best, of: str) -> dict[str, Any]:
    """What is shown of a model or a version, as its table's columns, with the source of each in ``sources``."""
    shown: dict[str, Any] = {}
    said: dict[str, str] = {}
    for name, (value, source) in best.items():
        field = FIELDS.get(name)
        if field is None or field.of != of:
            continue
        shown[field.stored_as] = msgspec.json.encode(value).decode() if field.type == "json" else value
        said[name] = source
    shown["sources"] = msgspec.json.encode(said, order="sorted").decode()
    return shown
