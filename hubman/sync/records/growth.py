"""How much was written since the newest snapshot, and whether it is this machine's turn to write another."""

from __future__ import annotations

import random
import sqlite3

from registry import clock

MAX_BATCHES = 500
MAX_BYTES = 16 << 20
"""More than either after the newest snapshot ask for another one."""

DELAY_MS = 6 * 3600 * 1000
"""Machines wait up to so long, each another time, so that usually one writes it and the others see it."""


def note(db: sqlite3.Connection, repo: str, batches: int, size: int) -> None:
    """Batches were sent or received. Call inside a transaction."""
    db.execute(
        "INSERT INTO log_growth (remote, batches, bytes) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
        "batches = batches + excluded.batches, bytes = bytes + excluded.bytes",
        (repo, batches, size),
    )


def start_over(db: sqlite3.Connection, repo: str, batches: int = 0) -> None:
    """There is a snapshot that covers all but ``batches``. Call inside a transaction."""
    db.execute(
        "UPDATE log_growth SET bytes = CASE WHEN batches > 0 THEN bytes * min(?1, batches) / batches ELSE 0 END, "
        "batches = ?1, due_ms = NULL WHERE remote = ?2",
        (batches, repo),
    )


def is_large(db: sqlite3.Connection, repo: str) -> bool:
    row = db.execute("SELECT batches, bytes FROM log_growth WHERE remote = ?", (repo,)).fetchone()
    return row is not None and (row["batches"] > MAX_BATCHES or row["bytes"] > MAX_BYTES)


def is_due(db: sqlite3.Connection, repo: str) -> bool:
    """Whether to write a snapshot now; asked for the first time when there is enough, it draws the hour."""
    if not is_large(db, repo):
        return False
    (due,) = db.execute("SELECT due_ms FROM log_growth WHERE remote = ?", (repo,)).fetchone()
    if due is None:
        due = clock.wall_ms() + random.randint(0, DELAY_MS)
        db.execute("UPDATE log_growth SET due_ms = ? WHERE remote = ?", (due, repo))
    return clock.wall_ms() >= int(due)
