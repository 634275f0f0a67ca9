"""What a policy asks for when all of the collection is looked at: which weights come, and which go for want of room.

A policy that asks for all, or for pins, is followed change by change (:func:`hubman.sync.policies.policy.wants`). A query or a
limit is a matter of the whole: it is looked at again whenever something changed, and once a day because time passes.
"""

from __future__ import annotations

import sqlite3

import msgspec

from hubman.sync import queue
from hubman.sync.policies import policy as policies
from hubman.sync.policies.policy import Policy, pinned, query_of
from hubman.sync.queue import Wanted
from hubman.sync.session import Session
from registry import blobs, clock
from registry.database import Registry
from registry.here import IS_HERE

_OBEYED = "obeyed"
"""The key of ``meta`` that holds the policy which the queues follow."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """SHA-256s: ``coming`` are to be fetched, ``going`` to be let go of, the oldest use first; ``no_room`` would come,
    were the limit higher. ``spare`` is what is left of the limit in bytes then, negative where it is exceeded.
    """

    coming: tuple[str, ...] = ()
    going: tuple[str, ...] = ()
    no_room: tuple[str, ...] = ()
    spare: int | None = None


class _File(msgspec.Struct, frozen=True):
    sha256: str
    size: int
    is_pinned: bool
    is_here: bool
    may_go: bool
    """Sync brought it, and it lies in one place only."""
    used: str
    """When it was last drawn with or fetched; of a file that was neither, when its model appeared."""

    @property
    def is_settled(self) -> bool:
        """Whether it counts before all others: nobody asks whether it should be here."""
        return self.is_pinned or (self.is_here and not self.may_go)


def plan(registry: Registry, policy: Policy) -> Plan:
    """What ``policy`` asks this machine to fetch and let go of."""
    files = _files(registry, policy)
    if policy.limit is None:
        return Plan(coming=tuple(file.sha256 for file in files if not file.is_here))
    spare = policy.limit - sum(file.size for file in files if file.is_settled)
    coming = [file.sha256 for file in files if file.is_settled and not file.is_here]
    going: list[str] = []
    no_room: list[str] = []
    for file in sorted(files, key=lambda file: (file.used, file.sha256), reverse=True):
        if file.is_settled:
            continue
        if file.size <= spare:
            spare -= file.size
            coming += [] if file.is_here else [file.sha256]
        elif file.is_here:
            going.append(file.sha256)
        else:
            no_room.append(file.sha256)
    return Plan(coming=tuple(coming), going=tuple(reversed(going)), no_room=tuple(no_room), spare=spare)


_FILES = f"""
SELECT f.sha256, f.size, f.version_id IN (SELECT value FROM json_each(:pins)) AS pinned,
    EXISTS (SELECT 1 FROM places p WHERE p.sha256 = f.sha256 AND {IS_HERE}) AS here,
    t.sha256 NOT NULL AND 1 = (SELECT count(*) FROM places p WHERE p.sha256 = f.sha256 AND p.state <> 'missing') AS may_go,
    max(coalesce(u.last_at, ''), coalesce(t.at, ''), f.added_at) AS used, f.version_id
FROM files f JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id
    LEFT JOIN usage u ON u.sha256 = f.sha256 LEFT JOIN fetched t ON t.sha256 = f.sha256
WHERE f.sha256 < 'u' AND (here OR pinned OR (m.deleted_at IS NULL AND NOT EXISTS
    (SELECT 1 FROM dropped d WHERE d.sha256 = f.sha256) AND (%s)))
"""  # noqa: S608 - fixed texts


def _files(registry: Registry, policy: Policy) -> list[_File]:
    """The weights that are here and those that the policy asks for."""
    db = registry.db
    pins = sorted(pinned(db, clock.device_id(db))) if policy.weights != "none" else []
    query = query_of(registry, policy)
    asked = "1" if policy.weights == "all" else "0"
    bound: dict[str, object] = {"pins": msgspec.json.encode(pins).decode()}
    if query is not None:
        asked = f"m.id IN (SELECT l.id FROM {query.source})"  # noqa: S608 - what is bound is bound
        bound |= query.parameters
    rows = db.execute(_FILES % asked, bound)
    return [
        _File(row["sha256"], row["size"], bool(row["pinned"]), bool(row["here"]), bool(row["may_go"]), row["used"])
        for row in rows
    ]


def obey(session: Session) -> Plan:
    """Bring the queue of what comes down in line with this machine's policy, which another one may have changed.

    Returns what else follows from it; nothing where nothing was said or taken in since the last time.
    """
    registry, db = session.registry, session.db
    policy = policies.of_device(db, session.device)
    if _said(policy) != _obeyed(db):
        return follow(registry, policy)
    if not (policy.looks_at_all("weights") or policy.looks_at_all("picture")):
        if policy.weights == "pinned":
            with registry.transaction():
                queue.want_pinned(registry, session.repo, session.device)
        return Plan()
    seen = _changes(db)
    if seen == _remembered(db, _mark(session)) and not session.deep:
        return Plan()
    found = plan(registry, policy)
    with registry.transaction():
        _queue_weights(db, session.repo, found)
        if policy.previews == "thumbs":
            queue.add(db, session.repo, "down", _pictures(registry, policy))
        _remember(db, _mark(session), seen)
    return found


def follow(registry: Registry, policy: Policy) -> Plan:
    """Queue for every remote what ``policy``, which is new, asks for, and all that may go up."""
    db = registry.db
    found = plan(registry, policy) if policy.weights != "none" or policy.limit is not None else Plan()
    lacking = _pictures(registry, policy)
    with registry.transaction():
        for (repo,) in db.execute("SELECT repo FROM remotes").fetchall():
            db.execute("DELETE FROM blob_queue WHERE remote = ? AND way = 'down'", (repo,))
            queue.add(db, repo, "down", lacking)
            _queue_weights(db, repo, found)
            queue.add(db, repo, "up", queue.known_blobs(db))
        _remember(db, _OBEYED, _said(policy))
    return found


def _pictures(registry: Registry, policy: Policy) -> list[Wanted]:
    """Those that the policy asks for and that are not here."""
    if policy.previews == "none":
        return []
    if policy.previews == "all":
        asked = {blob.sha256 for blob in queue.known_blobs(registry.db) if blob.kind == "picture"}
    else:
        asked = {row[0] for row in registry.db.execute("SELECT preview FROM versions WHERE preview NOT NULL")}
    return [Wanted(one, "picture") for one in sorted(asked) if not blobs.path_of(registry, one).exists()]


def _queue_weights(db: sqlite3.Connection, repo: str, found: Plan) -> None:
    """Exactly those of the plan wait to come down; one that waits keeps the time of its next try."""
    db.execute(
        "DELETE FROM blob_queue WHERE remote = ? AND way = 'down' AND kind = 'weights' "
        "AND sha256 NOT IN (SELECT value FROM json_each(?))",
        (repo, msgspec.json.encode(found.coming).decode()),
    )
    queue.add(db, repo, "down", [Wanted(sha256, "weights") for sha256 in found.coming])


def _changes(db: sqlite3.Connection) -> str:
    """Differs whenever anything was said here or taken in, apart from what this machine merely sent."""
    row = db.execute(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0), "
        "coalesce((SELECT sum(seq) FROM cursors WHERE device <> ?), 0)",
        (clock.device_id(db),),
    ).fetchone()
    return f"{row[0]} {row[1]}"


def _mark(session: Session) -> str:
    return f"kept {session.repo}"


def _said(policy: Policy) -> str:
    return msgspec.json.encode(policy, order="sorted").decode()


def _obeyed(db: sqlite3.Connection) -> str:
    return _remembered(db, _OBEYED) or _said(Policy())


def _remembered(db: sqlite3.Connection, key: str) -> str:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(row[0]) if row else ""


def _remember(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
