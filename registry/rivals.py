"""Concurrent edits of one field: the latest shows (``facts``), the others are kept beside it (``rivals``).

An edit names what its author saw in its place: with the ``set`` goes a ``rem`` of the stamps that it replaces, under the
field's name (``user.rating``). What is neither the latest nor named so by anybody was overwritten unseen. That follows
from the changes alone, whatever their order, so every machine keeps the same rivals.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from registry import many

USER = "user."
"""How the name of a field begins of which a person speaks; other sources only ever repeat what they find."""


def replacing(db: sqlite3.Connection, change: list[Any]) -> list[list[Any]]:
    """What has to be said before ``change``, an edit of a person made here: which earlier words it replaces.

    Those are the one that shows, and what says the same as it or as the edit: of that nothing is lost.
    """
    if change[0] != "set" or not change[2].startswith(USER):
        return []
    _, item, field, value, stamp = change
    name = field.removeprefix(USER)
    sql = "SELECT value, stamp FROM facts WHERE item = ? AND field = ? AND source = 'user'"
    shown = db.execute(sql, (item, name)).fetchone()
    if shown is None or shown[1] >= stamp:
        return []
    stamps = {shown[1]}
    for said in (shown[0], msgspec.json.encode(value, order="sorted").decode()):
        stamps |= stamps_of(db, item, name, said)
    return [["rem", item, field, "", sorted(stamps)]]


def stamps_of(db: sqlite3.Connection, item: str, name: str, value: str) -> set[str]:
    """The stamps under which ``value`` (JSON) stands beside what shows."""
    sql = "SELECT stamp FROM rivals WHERE item = ? AND field = ? AND value = ?"
    return {row[0] for row in db.execute(sql, (item, name, value))}


def put(db: sqlite3.Connection, item: str, name: str, value: str, stamp: str) -> None:
    """Keep what a later word beats, unless somebody who knew it said so."""
    db.execute(
        "INSERT OR IGNORE INTO rivals SELECT :item, :name, :stamp, :value "
        "WHERE NOT EXISTS (SELECT 1 FROM removed_dots WHERE dot = :stamp)",
        {"item": item, "name": name, "stamp": stamp, "value": value},
    )


def drop(db: sqlite3.Connection, stamps: Iterable[str]) -> set[str]:
    """Somebody who knew these words said something else; returns the items that they were of.

    A stamp is of one word only, and is looked for alone, so that no order of changes leaves more than another.
    """
    sql = "DELETE FROM rivals WHERE stamp IN (SELECT value FROM json_each(?)) RETURNING item"
    return {row[0] for row in db.execute(sql, (many.listed(stamps),)).fetchall()}
