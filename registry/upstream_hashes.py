"""What Civitai answered about the hash of a file, remembered: what it has need not be looked up twice, and what it has not
is asked again after a day, then a week, then a month. Answers of this machine: none of it syncs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from registry import settled, timestamps
from registry.database import Registry
from registry.ids import HASHED, UNHASHED

DAYS = (1, 7, 30)
"""Days after which a hash that was not found is asked for again: after the first miss, the second, every later one."""

_NO_TENSORS = "e3b0c44298fc"
"""How the AutoV3 of a file without any tensor data begins: the SHA-256 of nothing, which many files share."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the library and what is remembered of it. ``version`` and ``model`` are Civitai's numbers, 0 unknown."""

    sha256: str
    version_id: str
    autov2: str
    autov3: str
    is_made_here: bool
    version: int = 0
    model: int = 0
    asked_at: str = ""
    misses: int = 0
    by_tensors: bool | None = None
    is_written: bool = False
    pictures: int = 0
    pictured: int | None = None
    previews: int = 0
    civitai_model: int = 0
    """The number of its model as the library shows it, also where only a sidecar said it."""

    def is_due(self, now: str) -> bool:
        """Whether its hash is to be looked up at ``now``."""
        if self.version or not self.asked_at:
            return not self.version
        days = DAYS[min(self.misses, len(DAYS)) - 1]
        return timestamps.of(timestamps.parse(self.asked_at) + timedelta(days=days)) <= now

    @property
    def other_hash(self) -> str:
        """The hash by which Civitai may know the file all the same; empty if there is none worth a request.

        A header that was edited changes SHA-256 and its first digits (AutoV2), not the hash of the tensors (AutoV3,
        of which Civitai shows 12 digits). AutoV2 is for files that have no such hash: pickles, of which Civitai's
        oldest have no SHA-256. What was trained here is not looked for.
        """
        if self.version or self.by_tensors is not None or self.is_made_here or self.autov3.startswith(_NO_TENSORS):
            return ""
        return self.autov3[:12] or self.autov2


_SELECT = f"""
SELECT f.sha256, f.version_id, f.autov2, coalesce(f.autov3, '') AS autov3, coalesce(h.version, 0) AS version,
    coalesce(h.model, 0) AS model, coalesce(h.asked_at, '') AS asked_at, coalesce(h.misses, 0) AS misses, h.by_tensors,
    coalesce(h.is_written, 0) AS is_written, coalesce(h.pictures, 0) AS pictures, h.pictured,
    coalesce((SELECT m.civitai_id FROM models m WHERE m.id = v.model_id), 0) AS civitai_model,
    EXISTS (SELECT 1 FROM records WHERE kind = 'run' AND id = v.id) AS is_made_here,
    (SELECT count(*) FROM previews p WHERE p.version_id = v.id) AS previews
FROM files f JOIN versions v ON v.id = f.version_id LEFT JOIN upstream_hashes h ON h.sha256 = f.sha256
WHERE f.{HASHED}
"""  # noqa: S608 - names of ours
_OF_VERSIONS = " AND v.id IN (SELECT value FROM json_each(:versions))"


def versions_of(registry: Registry, models: Sequence[str]) -> list[str]:
    """The versions of these models. A version goes to another model once its page is known."""
    sql = "SELECT id FROM versions WHERE model_id IN (SELECT value FROM json_each(?))"
    now = settled.models_of(registry.db, models)
    return [row[0] for row in registry.db.execute(sql, (msgspec.json.encode(now).decode(),))]


def known(registry: Registry, versions: Sequence[str] | None = None) -> list[Known]:
    """The hashed files of the library, or of these versions, in the order of their hashes."""
    asked = msgspec.json.encode(list(versions or ())).decode()
    sql = _SELECT + (_OF_VERSIONS if versions is not None else "") + " ORDER BY f.sha256"
    rows = registry.db.execute(sql, {"versions": asked}).fetchall()
    return msgspec.convert([dict(row) for row in rows], list[Known], strict=False)


def unhashed(registry: Registry, versions: Sequence[str] | None = None) -> int:
    """How many files of the library, or of these versions, are listed and have no hash to ask for yet."""
    asked = msgspec.json.encode(list(versions or ())).decode()
    sql = f"SELECT count(*) FROM files f JOIN versions v ON v.id = f.version_id WHERE f.{UNHASHED}"  # noqa: S608
    return int(
        registry.db.execute(sql + (_OF_VERSIONS if versions is not None else ""), {"versions": asked}).fetchone()[0]
    )


def found(db: sqlite3.Connection, hits: Iterable[tuple[str, int, int]], now: str, *, by_tensors: bool) -> None:
    """(SHA-256, version, model) of files that Civitai has."""
    db.executemany(
        "INSERT INTO upstream_hashes (sha256, version, model, asked_at, by_tensors) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET is_written = is_written AND version = excluded.version, version = excluded.version, "
        "model = excluded.model, asked_at = excluded.asked_at, by_tensors = excluded.by_tensors, misses = 0",
        [(sha256, version, model, now, 1 if by_tensors else None) for sha256, version, model in hits],
    )


def missed(db: sqlite3.Connection, sha256s: Iterable[str], now: str) -> None:
    """Files that Civitai does not have under their SHA-256; what it once had stays known."""
    db.executemany(
        "INSERT INTO upstream_hashes (sha256, asked_at, misses) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET "
        "asked_at = excluded.asked_at, misses = misses + 1, by_tensors = NULL WHERE version IS NULL",
        [(sha256, now) for sha256 in sha256s],
    )


def missed_by_tensors(db: sqlite3.Connection, sha256: str) -> None:
    db.execute("UPDATE upstream_hashes SET by_tensors = 0 WHERE sha256 = ?", (sha256,))


def written(db: sqlite3.Connection, sha256: str, pictures: int) -> None:
    """The facts of this file's version were written; its page has so many pictures."""
    db.execute("UPDATE upstream_hashes SET is_written = 1, pictures = ? WHERE sha256 = ?", (pictures, sha256))


def pictured(db: sqlite3.Connection, sha256: str, count: int) -> None:
    """The whole answer of this file's version was asked for, and up to ``count`` of its pictures were fetched."""
    db.execute("UPDATE upstream_hashes SET pictured = ? WHERE sha256 = ?", (count, sha256))


def used_today(db: sqlite3.Connection, now: str) -> int:
    """How many requests were made in the day that began with the first."""
    return _today(db, now)[1]


def use(db: sqlite3.Connection, now: str) -> None:
    """Count one request more."""
    since, used = _today(db, now)
    db.execute("INSERT OR REPLACE INTO meta VALUES ('upstream_requests', ?)", (f"{since} {used + 1}",))


def _today(db: sqlite3.Connection, now: str) -> tuple[str, int]:
    row = db.execute("SELECT value FROM meta WHERE key = 'upstream_requests'").fetchone()
    since, used = row[0].split() if row else (now, "0")
    is_over = timestamps.of(timestamps.parse(since) + timedelta(days=1)) <= now
    return (now, 0) if is_over else (since, int(used))
