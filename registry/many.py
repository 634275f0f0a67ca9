"""Reading and writing rows of many items at once: one statement for a portion of them, not some for each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

PORTION = 2_000
"""Items that are read at once: enough to make a query's own cost small, few enough to hold all that is known of them."""

Item = TypeVar("Item")


def portions(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), PORTION):
        yield items[start : start + PORTION]


def listed(items: Iterable[str]) -> str:
    """Items as the argument of ``json_each(?)``."""
    return msgspec.json.encode(list(items)).decode()


def delete(db: sqlite3.Connection, table: str, column: str, values: str) -> None:
    """Delete the rows of ``table`` whose ``column`` is one of ``values``."""
    db.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))", (values,))  # noqa: S608 - names of ours


def write(
    db: sqlite3.Connection, table: str, rows: Iterable[dict[str, Any]], *, key: Callable[[dict[str, Any]], Any]
) -> None:
    """Insert rows, over older ones; ``key`` orders them as the table lies. A column that a row lacks gets its default."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=key):
        alike.setdefault(tuple(row), []).append(row)
    for names, group in alike.items():
        marks = ", ".join("?" for _ in names)
        sql = f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - names of ours
        db.executemany(sql, [tuple(row.values()) for row in group])
