"""The full-text index: the words of each model, by the number that follows from its id."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from registry import words

Texts = tuple[str, str, str, str, str, str]
"""Name, files, triggers, tags, notes and creator."""

_COLUMNS = "name, files, triggers, tags, notes, creator"
_KNOWN = f"SELECT s.rowid, {_COLUMNS} FROM json_each(?) j CROSS JOIN search s ON s.rowid = j.value"  # noqa: S608 - fixed
_INSERT = f"INSERT INTO search (rowid, model_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - fixed


def write(db: sqlite3.Connection, said: Mapping[str, tuple[int, Texts]]) -> None:
    """Index each model (its id to its number and texts) whose texts changed.

    Most edits, such as a rating, change no word: to compare takes a tenth of the time that to index takes. In the
    order of their numbers, because FTS5 writes out what it has gathered whenever a number is smaller than the last.
    """
    numbers = [number for number, _ in said.values()]
    known = {row[0]: tuple(row)[1:] for row in db.execute(_KNOWN, (msgspec.json.encode(numbers).decode(),))}
    changed = sorted((number, model, texts) for model, (number, texts) in said.items() if known.get(number) != texts)
    remove(db, [number for number, _, _ in changed if number in known])
    db.executemany(_INSERT, [(number, model, *texts) for number, model, texts in changed])
    words.learn(db, [text for _, _, texts in changed for text in texts])


def remove(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    db.executemany("DELETE FROM search WHERE rowid = ?", [(number,) for number in sorted(numbers)])
