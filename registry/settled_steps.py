"""The journal's steps of a file that turned out to be a version: they are steps of that version and its model."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container

import msgspec

from registry import said
from registry.said import Saying

_OF_ITEM = "SELECT entry, number, kind, name, before, after FROM journal_steps WHERE item = ? ORDER BY entry, number"
_SAME = """
SELECT number, before, after FROM journal_steps
WHERE +entry = ? AND item = ? AND kind = ? AND name = ? AND number <> ? ORDER BY number
"""
"""By the item: SQLite would read all steps of the entry, of which a bulk edit has one a model (``+`` keeps it from it)."""
_decode = msgspec.json.Decoder(list[Saying]).decode


def rename(db: sqlite3.Connection, item: str, target_of: Callable[[str], str]) -> None:
    """Make the steps of ``item`` those of what ``target_of`` says for the name of a field, text or set.

    Where one entry edited two copies of one content, their steps become one, since what is said of it is one thing now.
    """
    for entry, number, kind, name, *texts in db.execute(_OF_ITEM, (item,)).fetchall():
        target = target_of(name)
        step = list(texts)
        same = db.execute(_SAME, (entry, target, kind, name, number)).fetchall()
        held = {stamp for _, stamp in said.of(db, target).get((kind, name), [])} if same else set()
        for other, *others in same:
            step = [_both(kind, *pair, held) for pair in zip(others, step, strict=True)]
            db.execute("DELETE FROM journal_steps WHERE entry = ? AND number = ?", (entry, other))
        db.execute(
            "UPDATE journal_steps SET item = ?, before = ?, after = ? WHERE entry = ? AND number = ?",
            (target, *step, entry, number),
        )


def _both(kind: str, one: str, other: str, held: Container[str]) -> str:
    """What stands once both hold of one item: of a fact the later saying, of a set or text each value once.

    Of two sayings of one value it is the one that is ``held``: the other was not said of the version any more.
    """
    sayings = sorted(_decode(one) + _decode(other), key=lambda saying: saying[1])
    if kind == "fact":
        return _encode(sayings[-1:])
    kept: dict[str, Saying] = {}
    for saying in sorted(sayings, key=lambda saying: saying[1] not in held):
        kept.setdefault(saying[0], saying)
    return _encode([saying for saying in sayings if saying in kept.values()])


def _encode(sayings: list[Saying]) -> str:
    return msgspec.json.encode(sayings).decode()
