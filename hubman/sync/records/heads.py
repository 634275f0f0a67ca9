"""What the heads of other devices said when they were read last: how far each log goes, and when its device was there."""

from __future__ import annotations

import sqlite3

from hubman.sync.records import layout
from hubman.sync.records.incoming import STAMP
from registry import timestamps


def note(db: sqlite3.Connection, repo: str, device: str, head: layout.Head) -> None:
    """Remember a head that was read, unless a newer one was before. Call inside a transaction."""
    if STAMP.fullmatch(head.hlc):
        db.execute(
            "INSERT INTO heads_seen (remote, device, seq, hlc, seen_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET seq = max(seq, excluded.seq), hlc = excluded.hlc, seen_at = excluded.seen_at "
            "WHERE excluded.hlc > heads_seen.hlc",
            (repo, device, head.seq, head.hlc, timestamps.now()),
        )


def went_back(db: sqlite3.Connection, repo: str, device: str, head: layout.Head) -> str | None:
    """A line for a head that is older than what was read already: a remote that was restored, or one that lies."""
    (reached,) = db.execute(
        "SELECT max(seq) FROM (SELECT seq FROM cursors WHERE remote = ?1 AND device = ?2 "
        "UNION ALL SELECT seq FROM heads_seen WHERE remote = ?1 AND device = ?2)",
        (repo, device),
    ).fetchone()
    if reached is None or head.seq >= reached:
        return None
    return f"its head went back from batch {reached} to {head.seq}; what was read stays"
