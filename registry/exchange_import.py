"""Taking in what a person said in another registry: a plan, then one entry of the journal; what finds no file waits."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from registry import clock, collecting, exchange, exchange_match, journal, library, projection, timestamps, views
from registry.database import Registry
from registry.errors import HubError, UsageError
from registry.exchange import CollectionLine, Line, ModelLine, VersionLine, ViewLine
from registry.fields import FIELDS, ORDERED_SETS, SETS, TEXTS, Level
from registry.journal import Entry


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One field of one item that an import changes."""

    item: str
    kind: Literal["fact", "set", "text"]
    name: str
    field: str
    before: Any
    after: Any


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """A line, or the part of one that speaks of one version, for which there is no file here, or that makes no sense."""

    line: int
    name: str
    reason: str


@dataclass
class Plan:
    """What an import would do. ``waiting`` are lines to be kept until a scan finds their files."""

    changes: list[Change] = field(default_factory=list)
    unmatched: list[Unmatched] = field(default_factory=list)
    waiting: list[ModelLine] = field(default_factory=list)
    collections: list[str] = field(default_factory=list)
    memberships: list[tuple[str, str]] = field(default_factory=list)
    views: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.changes or self.collections or self.memberships or self.views)


_KINDS: Mapping[str, Any] = {"model": ModelLine, "collection": CollectionLine, "view": ViewLine}


def parse(content: bytes) -> Line:
    """One line. Raises :class:`ValueError` saying in one line what is wrong with it."""
    doc = msgspec.json.decode(content)
    kind = next((kind for key, kind in _KINDS.items() if isinstance(doc, dict) and key in doc), None)
    if kind is None:
        raise ValueError("it is no line of an export")
    line: Line = msgspec.convert(doc, kind)
    if line.hubman != exchange.FORMAT:
        raise ValueError(f"its format is {line.hubman}, and this hubman reads {exchange.FORMAT}")
    return line


def plan(registry: Registry, content: Iterable[bytes]) -> Plan:
    """What these lines change here. Nothing is written."""
    found = Plan()
    for number, raw in enumerate(content, 1):
        if not raw.strip():
            continue
        try:
            line = parse(raw.removeprefix(b"\xef\xbb\xbf"))
            _take(registry, found, line, number)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            found.unmatched.append(Unmatched(line=number, name="", reason=" ".join(str(error).split())))
    return found


def _take(registry: Registry, found: Plan, line: Line, number: int) -> None:
    if isinstance(line, CollectionLine):
        _want_collection(registry, found, line.collection)
    elif isinstance(line, ViewLine):
        if views.own(registry).get(line.view) != line.query:
            found.views[line.view] = line.query
    else:
        _check(line)
        _take_model(registry, found, line, number)


def _check(line: ModelLine) -> None:
    """Raises :class:`ValueError` naming the first field that can't be."""
    parts: list[tuple[str, ModelLine | VersionLine]] = [("model", line), *(("version", one) for one in line.versions)]
    for level, part in parts:
        levels: dict[str, str] = {**exchange.KEPT_SETS, **TEXTS, **{name: FIELDS[name].of for name in exchange.KEPT}}
        for name in (*part.said, *part.sets, *part.texts):
            if levels.get(name) != level:
                raise ValueError(f"{name} is no field of a {level} that can be edited")
        wrong = next(
            (name for name, value in part.said.items() if name not in FIELDS or not FIELDS[name].fits(value)), None
        )
        if wrong:
            raise ValueError(f"{wrong} can't be {str(part.said[wrong])[:40]!r}")
        if not part.sets.keys() <= SETS.keys() or not part.texts.keys() <= TEXTS.keys():
            raise ValueError("a set or a text stands where the other belongs")


def _take_model(registry: Registry, found: Plan, line: ModelLine, number: int) -> None:
    matched: list[tuple[str, VersionLine]] = []
    for version in line.versions:
        item = exchange_match.version_of(registry.db, version.files, version.civitai_version_id)
        if item is None:
            file = next((one.name for one in version.files), "")
            reason = f"no file here is {file or 'that of this version'}; it waits until a scan finds it"
            found.unmatched.append(Unmatched(line=number, name=line.model, reason=reason))
            found.waiting.append(msgspec.structs.replace(line, versions=[version]))
        else:
            matched.append((item, version))
    if not line.versions:
        found.unmatched.append(Unmatched(line=number, name=line.model, reason="it has no version"))
    models: dict[str, bool] = {}
    for item, version in matched:
        model = library.version(registry, item).model_id
        models[model] = models.get(model, False) or _is_of_same_bytes(registry, item, version)
    for model, is_same in models.items():
        name = library.show(registry, model).name
        changes = _of_item(registry, model, name, "model", line)
        # A twin of other bytes that was put into the trash there says nothing of the one that was kept here.
        found.changes += [change for change in changes if is_same or change.field != "deleted_at"]
        for path in line.collections:
            _want_collection(registry, found, path)
            if path not in library.show(registry, model).collections:
                found.memberships.append((path, model))
    for item, version in matched:
        found.changes += _of_item(registry, item, line.model, "version", version)


def _is_of_same_bytes(registry: Registry, item: str, version: VersionLine) -> bool:
    hashes = {row[0] for row in registry.db.execute("SELECT sha256 FROM files WHERE version_id = ?", (item,))}
    return any(file.sha256.lower() in hashes for file in version.files)


def _want_collection(registry: Registry, found: Plan, path: str) -> None:
    try:
        is_new = path not in found.collections and not collecting.exists(registry, path)
    except UsageError as error:
        raise ValueError(error.message) from error
    if is_new:
        found.collections.append(path)


def _of_item(registry: Registry, item: str, name: str, level: Level, line: ModelLine | VersionLine) -> Iterator[Change]:
    db = registry.db
    facts = exchange.said_of(db, item, level)
    for fact, value in line.said.items():
        if facts.get(fact) != value:
            yield Change(item=item, kind="fact", name=name, field=fact, before=facts.get(fact), after=value)
    for set_, values in line.sets.items():
        members, told = projection.members(db, item, set_), list(dict.fromkeys(values))
        if members != told if set_ in ORDERED_SETS else set(members) != set(told):
            yield Change(item=item, kind="set", name=name, field=set_, before=members, after=told)
    for text, content in line.texts.items():
        shown = projection.text_of(db, item, text)
        if content != shown:
            yield Change(item=item, kind="text", name=name, field=text, before=shown, after=content)


def carry_out(registry: Registry, found: Plan, label: str) -> Entry | None:
    """Do what is planned and keep what waits; returns the entry of the fields that changed, None if none did.

    Collections and views that are made are entries of their own before it.
    """
    with registry.transaction() as db:
        now = timestamps.now()
        texts = [msgspec.json.encode(line) for line in found.waiting]
        keys = [hashlib.sha256(text).hexdigest() for text in texts]
        rows = [(key, text.decode(), now) for key, text in zip(keys, texts, strict=True)]
        db.executemany("INSERT OR REPLACE INTO imports_waiting VALUES (?, ?, ?)", rows)
        _save_views(registry, found.views)
        for path in found.collections:
            if not collecting.exists(registry, path):
                collecting.create(registry, path)
        items = dict.fromkeys([change.item for change in found.changes] + [model for _, model in found.memberships])
        entry = journal.write(registry, "import", label, list(items), lambda: _apply(registry, found))
        _note_read(db, keys)
        return entry


def _note_read(db: sqlite3.Connection, keys: Sequence[str]) -> None:
    """What a person says from now on is later than what the waiting lines of ``keys`` say."""
    now = clock.tick(db)
    (entry,) = db.execute("SELECT coalesce(max(id), 0) FROM journal").fetchone()
    db.executemany("INSERT OR REPLACE INTO imports_read VALUES (?, ?, ?)", [(key, now, entry) for key in keys])


def _save_views(registry: Registry, wanted: Mapping[str, str]) -> None:
    """One view may stand in another, so those that can't be saved yet are tried again after the others."""
    left = dict(wanted)
    while left:
        refused: dict[str, UsageError] = {}
        for name, query in left.items():
            try:
                views.save(registry, name, query)
            except UsageError as error:
                refused[name] = error
        if len(refused) == len(left):
            raise next(iter(refused.values()))
        left = {name: left[name] for name in refused}


def _apply(registry: Registry, found: Plan) -> None:
    for change in found.changes:
        if change.kind == "fact":
            library.set_facts(registry, change.item, "user", {change.field: change.after})
        elif change.kind == "text":
            library.write_text(registry, change.item, change.field, change.after)
        else:
            _replace_set(registry, change)
    for path, model in found.memberships:
        library.update_set(registry, model, "collections", add=[collecting.find(registry, path)])


def _replace_set(registry: Registry, change: Change) -> None:
    """Values stand in the order in which they were added: where that is another one they are added anew."""
    stay = [value for value in change.before if value in change.after]
    if change.field in ORDERED_SETS and stay != list(change.after)[: len(stay)]:
        library.update_set(registry, change.item, change.field, remove=change.before)
    library.replace_set(registry, change.item, change.field, change.after)


def refuse(found: Plan) -> None:
    """Raises :class:`HubError` where a file has not one line that could be understood."""
    wrong = [one for one in found.unmatched if not one.name]
    if wrong and found.is_empty and not found.waiting:
        raise HubError(
            f"line {wrong[0].line} can't be understood ({wrong[0].reason})", "is it a file of hubman export?"
        )
