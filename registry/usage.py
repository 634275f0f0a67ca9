"""How often, and when last, pictures were drawn with a file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


def add(db: sqlite3.Connection, sha256s: Iterable[str], at: str) -> None:
    """Count one more picture for each of the files. Call inside a transaction, once a picture."""
    for sha256 in set(sha256s):
        db.execute(
            "INSERT INTO usage VALUES (:file, 1, :at) ON CONFLICT DO UPDATE SET times = times + 1, "
            "last_at = max(last_at, excluded.last_at)",
            {"file": sha256, "at": at},
        )
        db.execute(
            "UPDATE listing SET uses = uses + 1, used_at = max(coalesce(used_at, ''), :at) WHERE number IN "
            "(SELECT m.search_id FROM files f JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id "
            "WHERE f.sha256 = :file)",
            {"file": sha256, "at": at},
        )
