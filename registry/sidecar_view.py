"""Who said what of a model: every field with every source, the sidecars each by its path, and where they disagree."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from registry import library, projection, settled, sidecar_store
from registry.database import Registry
from registry.fields import FIELDS, SETS, SOURCES, TEXTS
from registry.listing import plain_base
from registry.sidecar_store import Row, cut


class Saying(msgspec.Struct, frozen=True, kw_only=True):
    """One source's value of a field. ``source`` is one of :data:`registry.fields.SOURCES`, ``kept`` for a text or word
    that no source on this disk says, or ``origin`` inside a sidecar; a sidecar has its ``dialect`` and ``path``.

    ``note`` says why a value does not count: the sidecar speaks of other content or another model, or its dialect is off.
    """

    source: str
    value: Any
    is_shown: bool = False
    dialect: str = ""
    path: str = ""
    note: str = ""


class FieldView(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a model or of one version of it. Long texts are cut (:func:`registry.sidecar_store.cut`).

    ``is_conflict``: sources that count disagree; ``is_decided``: a person said what holds.
    """

    item: str
    level: str
    field: str
    shown: Any
    sayings: tuple[Saying, ...]
    is_conflict: bool = False
    is_decided: bool = False


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """All fields of a model that anybody said something of, and the sidecars that could not be understood."""

    model: str
    name: str
    fields: tuple[FieldView, ...]
    broken: tuple[Row, ...] = ()

    @property
    def conflicts(self) -> tuple[FieldView, ...]:
        """The fields whose sources disagree, and of which no person said what holds."""
        return tuple(field for field in self.fields if field.is_conflict and not field.is_decided)


@dataclass(frozen=True)
class _Out:
    """What does not count: dialects that are ``off``, and facts of another model of Civitai than ``number``."""

    off: set[str]
    number: int | None

    def reason(self, row: Row, name: str) -> str:
        if row.dialect in self.off:
            return "off"
        if row.is_of_other and name != "notes":
            return "of other content"
        is_fact = name in FIELDS and name not in {"civitai_model_id", "civitai_version_id"}
        number = row.said.get("civitai_model_id")
        return "of another model" if is_fact and number and self.number and number != self.number else ""


def provenance(registry: Registry, model: str) -> Provenance:
    """Every field of a model and its versions, with every source. Raises :class:`registry.errors.NotFoundError`."""
    detail = library.show(registry, model)
    db, model = registry.db, detail.id
    rows = {version.id: sidecar_store.rows_of(db, version.id) for version in detail.versions}
    everything = [row for of_version in rows.values() for row in of_version]
    number = _number_of(db, model)
    out = _Out({name for name, mode in sidecar_store.dialects(db).items() if mode == "off"}, number)
    found = list(_of_item(db, model, "model", everything, out))
    for version in detail.versions:
        found += _of_item(db, version.id, "version", rows[version.id], out)
    broken = tuple(row for row in everything if row.problem)
    return Provenance(model=model, name=detail.name, fields=tuple(found), broken=broken)


def _number_of(db: sqlite3.Connection, model: str) -> int | None:
    """Which model of Civitai the sidecars together take it for."""
    sql = "SELECT value FROM facts WHERE item = ? AND field = 'civitai_model_id' AND source = 'sidecar'"
    row = db.execute(sql, (model,)).fetchone()
    return msgspec.json.decode(row[0]) if row else None


def conflicts(registry: Registry, models: Sequence[str]) -> list[Provenance]:
    """Those of these models whose sources disagree where no person said what holds."""
    sql = "SELECT DISTINCT v.model_id FROM sidecars s JOIN files f ON f.sha256 = s.sha256 JOIN versions v ON v.id = f.version_id"
    told = {row[0] for row in registry.db.execute(sql)}
    found = (provenance(registry, model) for model in settled.models_of(registry.db, models) if model in told)
    return [one for one in found if one.conflicts]


def _of_item(db: sqlite3.Connection, item: str, level: str, rows: Sequence[Row], out: _Out) -> Iterator[FieldView]:
    facts: dict[str, dict[str, Any]] = {}
    for name, source, value in db.execute("SELECT field, source, value FROM facts WHERE item = ?", (item,)):
        decoded = msgspec.json.decode(value)
        if decoded is not None:
            facts.setdefault(name, {})[source] = decoded
    for field in FIELDS.values():
        if field.of == level and field.name not in _OURS:
            sayings = _facts(facts.get(field.name, {}), field.name, rows, out)
            if sayings:
                yield _fact_view(item, level, field.name, sayings)
    for name, of in TEXTS.items():
        if of == level:
            yield from _text_view(item, level, name, projection.text_of(db, item, name) or "", rows, out)
    for name, of in SETS.items():
        if of == level and name in {"tags", "trigger_words"}:
            yield from _set_view(item, level, name, projection.members(db, item, name), rows, out)


_OURS = {"model", "run_id", "cover", "replaced_by", "deleted_at", "origin", "newest_upstream", "architecture"}


def _facts(told: dict[str, Any], name: str, rows: Sequence[Row], out: _Out) -> list[Saying]:
    """What each source says of a fact, the most trusted first; in the place of ``sidecar`` each sidecar for itself."""
    found: list[Saying] = []
    for source in SOURCES:
        if source == "sidecar":
            beside = [_of_row(row, name, out) for row in rows if name in row.said]
            if source in told and all(
                one.note or _plain(name, one.value) != _plain(name, cut(told[source])) for one in beside
            ):
                # Said by one that lies on another machine, or nowhere any more.
                beside.append(Saying(source=source, value=cut(told[source])))
            shown = told.get(source)
            found += [one for one in beside if one.value == cut(shown)] + [
                one for one in beside if one.value != cut(shown)
            ]
        elif source in told:
            found.append(Saying(source=source, value=cut(told[source])))
    return found


def _of_row(row: Row, name: str, out: _Out) -> Saying:
    return Saying(
        source="sidecar", value=row.said[name], dialect=row.dialect, path=row.path, note=out.reason(row, name)
    )


def _fact_view(item: str, level: str, name: str, sayings: list[Saying]) -> FieldView:
    first = next((one for one in sayings if not one.note), None)
    marked = [msgspec.structs.replace(one, is_shown=one is first) for one in sayings]
    counted = [one for one in marked if not one.note and one.source not in {"guess", "file"}]
    if name == "name":
        # A header names what its trainer called the file.
        counted = [one for one in counted if one.source != "header"]
    return FieldView(
        item=item,
        level=level,
        field=name,
        shown=first.value if first else None,
        sayings=tuple(marked),
        is_conflict=_disagree(name, [one.value for one in counted]),
        is_decided=bool(first and first.source in {"user", "training", "sweep"}),
    )


def _text_view(item: str, level: str, name: str, text: str, rows: Sequence[Row], out: _Out) -> Iterator[FieldView]:
    sayings = [_of_row(row, name, out) for row in rows if name in row.said]
    shown = cut(text)
    if not text and not sayings:
        return
    is_told = any(one.value == shown for one in sayings)
    marked = [msgspec.structs.replace(one, is_shown=one.value == shown) for one in sayings]
    if text and not is_told:
        marked.insert(0, Saying(source="kept", value=shown, is_shown=True))
    counted = [one.value for one in marked if not one.note]
    yield FieldView(
        item=item,
        level=level,
        field=name,
        shown=shown,
        sayings=tuple(marked),
        is_conflict=_disagree(name, counted),
        is_decided=not is_told,
    )


def _set_view(
    item: str, level: str, name: str, members: Sequence[str], rows: Sequence[Row], out: _Out
) -> Iterator[FieldView]:
    """Words come from all sources together, so they never disagree; each word names its own."""
    sayings: list[Saying] = []
    shown = {word.casefold() for word in members}
    told: set[str] = set()
    for row in rows:
        for word in row.said.get(name, []):
            told.add(word.casefold())
            origin = row.said.get("word_origins", {}).get(word, "") if name == "trigger_words" else ""
            one = _of_row(row, name, out)
            source = origin or one.source
            sayings.append(msgspec.structs.replace(one, source=source, value=word, is_shown=word.casefold() in shown))
    kept = [Saying(source="kept", value=word, is_shown=True) for word in members if word.casefold() not in told]
    if sayings or kept:
        yield FieldView(item=item, level=level, field=name, shown=list(members), sayings=(*kept, *sayings))


_SDXL = ("sdxl", "pony", "illustrious", "noobai", "animagine")


def _disagree(name: str, told: Iterable[Any]) -> bool:
    different = {_plain(name, value) for value in told}
    if name == "base_model" and len(different) == 2 and all(base.startswith(_SDXL) for base in different):
        # A header can't tell a family of SDXL from SDXL itself: naming the family says more, not otherwise.
        return not any(base.startswith("sdxl") for base in different)
    return len(different) > 1


def _plain(name: str, value: Any) -> str:
    """A value so that the same thing, written differently, is the same."""
    if isinstance(value, str):
        return plain_base(value) if name == "base_model" else " ".join(value.casefold().split())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    return msgspec.json.encode(value, order="sorted").decode()
