"""Civitai's whole answers about models and versions, kept compressed: what they said stays readable when a page is gone."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from registry.database import Registry

Raw = Mapping[str, Any]
"""An answer as it came, not looked at."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A model's page as it was last seen, at ``seen_at`` (empty: never). ``gone_at``: since when it is no longer there."""

    number: int
    asked_at: str
    seen_at: str = ""
    gone_at: str = ""
    newest: int = 0


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What finds a model among the archived: ``newest`` is the largest number of its versions."""

    number: int
    name: str
    creator: str
    newest: int
    published_at: str


def keep_model(db: sqlite3.Connection, about: Described, raw: Raw, now: str) -> None:
    """Keep a model's page in place of the one before, of which stays what the page no longer tells."""
    before = _body(db, "archived_models", about.number)
    body = _packed(raw if before is None else with_what_it_had(raw, before)) or _packed(before or {})
    db.execute(
        "INSERT OR REPLACE INTO archived_models (number, name, creator, newest, published_at, asked_at, seen_at, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (about.number, about.name, about.creator, about.newest, about.published_at, now, now, body),
    )


def with_what_it_had(now: Raw, before: Raw) -> dict[str, Any]:
    """``now`` with the versions of ``before`` that left the page, marked ``isGone``, and with its creator if he left.

    A page that was archived or taken down (``mode``) says nothing of files or pictures: they stay as they were.
    """
    merged = _filled(now, before) if now.get("mode") else {**now}
    merged["creator"] = now.get("creator") or before.get("creator")
    past = {_number_of(one): one for one in _records(before.get("modelVersions"))}
    present = _records(now.get("modelVersions"))
    if now.get("mode"):
        present = [_filled(one, past.get(_number_of(one), {})) for one in present]
    kept = {_number_of(one) for one in present}
    gone = [{**one, "isGone": True} for number, one in past.items() if number not in kept]
    merged["modelVersions"] = [*present, *gone]
    return merged


def _filled(now: Raw, before: Raw) -> dict[str, Any]:
    """``now`` with those values of ``before`` that it leaves out or has empty."""
    kept = {key: value for key, value in before.items() if key != "isGone" and _is_empty(now.get(key))}
    return {**now, **kept}


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})


def _number_of(version: Raw) -> str:
    return str(version.get("id"))


def _records(value: object) -> list[Raw]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def keep_version(db: sqlite3.Connection, number: int, model: int, raw: Raw, now: str) -> None:
    """Keep a version's whole answer, which unlike a model's tells what its pictures were drawn with."""
    before = _body(db, "archived_versions", number)
    body = _packed(raw if before is None else _filled(raw, before))
    if body is not None:
        db.execute("INSERT OR REPLACE INTO archived_versions VALUES (?, ?, ?, ?)", (number, model, now, body))


def missing(db: sqlite3.Connection, number: int, now: str) -> None:
    """A model has no page any more, by the site's own word; what is archived of it stays."""
    db.execute(
        "INSERT INTO archived_models (number, asked_at, gone_at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
        "asked_at = excluded.asked_at, gone_at = coalesce(gone_at, excluded.gone_at)",
        (number, now, now),
    )


_PAGES = (
    "SELECT number, asked_at, coalesce(seen_at, '') AS seen_at, coalesce(gone_at, '') AS gone_at, newest "
    "FROM archived_models"
)


def pages(registry: Registry) -> dict[int, Page]:
    """All of which a page was asked for, by number, without their content."""
    return {row["number"]: msgspec.convert(dict(row), Page) for row in registry.db.execute(_PAGES)}


def page(registry: Registry, number: int) -> Page | None:
    row = registry.db.execute(f"{_PAGES} WHERE number = ?", (number,)).fetchone()
    return msgspec.convert(dict(row), Page) if row else None


def model(registry: Registry, number: int) -> dict[str, Any] | None:
    """A model's page as it was last seen; versions that had left it bear ``isGone``."""
    return _body(registry.db, "archived_models", number)


def models(registry: Registry, numbers: Collection[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number in numbers:
        found = model(registry, number)
        if found is not None:
            yield number, found


def version(registry: Registry, number: int) -> dict[str, Any] | None:
    return _body(registry.db, "archived_versions", number)


def by_creator(registry: Registry, creator: str, since: str) -> list[int]:
    """The archived models of a creator (case does not matter) of which a version was published after ``since``."""
    sql = (
        "SELECT number FROM archived_models WHERE creator = ? AND published_at > ? AND gone_at IS NULL ORDER BY number"
    )
    return [row[0] for row in registry.db.execute(sql, (creator, since))]


def _packed(raw: Raw) -> bytes | None:
    """None for what nobody could have sent in good faith: nested too deep to be written as JSON again."""
    try:
        # Not by msgspec: an answer may hold numbers and halves of characters that it refuses.
        return zlib.compress(json.dumps(raw, separators=(",", ":")).encode(), 6)
    except RecursionError:
        return None


def _body(db: sqlite3.Connection, table: str, number: int) -> dict[str, Any] | None:
    row = db.execute(f"SELECT body FROM {table} WHERE number = ?", (number,)).fetchone()  # noqa: S608 - names of ours
    if row is None or row[0] is None:
        return None
    found = json.loads(zlib.decompress(row[0]))
    return found if isinstance(found, dict) else None
