"""What waits to go up and what has come in and is not read yet, before a sync moves any of it.

Nothing is written, here or on the remote, and no lock is taken: what a sync does meanwhile may be told as waiting.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec

from hubman.progress import never
from hubman.sync import pull, queue, wording
from hubman.sync.care import devices
from hubman.sync.policies.policy import of_device, wants
from hubman.sync.queue import Kind, Wanted, Way
from hubman.sync.records import batches, incoming, layout
from hubman.sync.records.batches import PACKED_CAP
from hubman.sync.remote import Remote, find
from hubman.sync.secrecy.codec import Codec
from hubman.sync.secrecy.codecs import codec_of
from hubman.sync.session import Session
from hubman.sync.storages.readonly import open_remote
from hubman.sync.storages.storage import Storage
from registry import blobs, clock, projection, timestamps
from registry.changes import Change
from registry.database import Registry

MOST_BATCHES = 32
"""Batches of one device that are looked into; of a device that was away for longer only the number is told."""

MOST_CHANGES = 20_000
"""Changes that are put into words; what a remote that was just added is told are ten times as many."""

MOST_FILES = 500
"""Files that are told one by one, the small ones first, as they go."""


class Waiting(msgspec.Struct, frozen=True):
    """A file that is to be moved; ``problem`` is why it could not be at the last try. Size 0: not known yet."""

    sha256: str
    name: str
    size: int
    kind: Kind
    problem: str = ""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What goes one way: ``edits`` in words, how many changes those are, and files (at most :data:`MOST_FILES` of them)."""

    edits: tuple[str, ...] = ()
    changes: int = 0
    files: tuple[Waiting, ...] = ()
    file_count: int = 0
    bytes: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.changes or self.file_count)


class Unread(msgspec.Struct, frozen=True):
    """How many batches of a device were not read here yet, and of how many the changes are told.

    ``problem`` is why one can't be looked into.
    """

    device: str
    name: str
    batches: int
    told: int = 0
    problem: str = ""


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync with ``remote`` would move. ``looked_at`` is empty if the remote itself was not asked."""

    remote: str
    up: Side
    down: Side
    unread: tuple[Unread, ...] = ()
    looked_at: str = ""
    problems: tuple[str, ...] = ()
    heads: tuple[tuple[str, str | None, int], ...] = ()
    """(device, tag, batches read): where these are the same, the next look need not fetch anything."""
    incoming: tuple[bytes, ...] = ()
    """The batches that were fetched, as they came."""

    @property
    def is_empty(self) -> bool:
        return self.up.is_empty and self.down.is_empty and not self.unread


def pending(
    registry: Registry,
    remote_name: str = "",
    *,
    before: Pending | None = None,
    asks: bool = True,
    should_stop: Callable[[], bool] = never,
    storage: Storage | None = None,
) -> Pending:
    """Look at both ends. Without ``asks`` the remote is not touched: what ``before`` knew of it is told again.

    One listing of the heads, and of each device that has news its head and at most :data:`MOST_BATCHES` batches; a
    second look with ``before`` fetches nothing where no head moved. Raises :class:`HubError` when the remote can't be
    reached, :class:`registry.errors.CancelledError` when ``should_stop`` said so.
    """
    remote = find(registry, remote_name)
    if before is not None and before.remote != remote.name:
        before = None
    seen = _Seen.of(before)
    if asks:
        place = open_remote(remote, storage)
        codec = codec_of(registry, remote)
        seen = _look(Session(registry, remote, place, should_stop=should_stop, codec=codec), seen)
    return Pending(
        remote=remote.name,
        up=Side() if remote.is_read_only else _up(registry, remote),
        down=_down(registry, remote, seen.bodies),
        unread=seen.unread,
        looked_at=seen.at,
        problems=seen.problems,
        heads=seen.heads,
        incoming=seen.bodies,
    )


# what has come in -----------------------------------------------------------------------------------------------------


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the remote."""

    at: str = ""
    unread: tuple[Unread, ...] = ()
    problems: tuple[str, ...] = ()
    heads: tuple[tuple[str, str | None, int], ...] = ()
    bodies: tuple[bytes, ...] = ()

    @staticmethod
    def of(before: Pending | None) -> _Seen:
        if before is None:
            return _Seen()
        return _Seen(
            at=before.looked_at, unread=before.unread, problems=before.problems, heads=before.heads,
            bodies=before.incoming,
        )  # fmt: skip


def _look(session: Session, before: _Seen) -> _Seen:
    found = pull.look(session)
    reached = {one.device: _reached(session, one.device) for one in found.news}
    heads = tuple((one.device, one.tag, reached[one.device]) for one in found.news)
    now = timestamps.now()
    if heads == before.heads and before.at and not any(one.problem for one in before.unread):
        return msgspec.structs.replace(before, at=now, problems=tuple(found.problems))
    unread: list[Unread] = []
    bodies: list[bytes] = []
    for one in found.news:
        behind = max(0, one.head.seq - reached[one.device]) if one.head else 0
        if not behind:
            continue
        before_it, problem = len(bodies), ""
        try:
            bodies += _bodies(session, one, reached[one.device])
        except layout.UnreadableError as error:
            problem = error.message
        told = len(bodies) - before_it
        unread.append(Unread(one.device, devices.name_of(session.db, one.device), behind, told, problem))
    return _Seen(at=now, unread=tuple(unread), problems=tuple(found.problems), heads=heads, bodies=tuple(bodies))


def _bodies(session: Session, one: pull.News, reached: int) -> Iterator[bytes]:
    """The unread batches that the head still names, as they lie there, as far as they have arrived whole."""
    names = [name for name in one.head.tail if (layout.batch_seq(name) or 0) > reached] if one.head else []
    for name in names[:MOST_BATCHES]:
        session.stop_if_asked()
        codec = session.codec
        fetched = session.storage.get(layout.log_prefix(one.device) + name, codec.cap(PACKED_CAP))
        if fetched is None:
            # It has not arrived, or a snapshot stands for it: a sync finds out which.
            return
        if not layout.is_intact(name, fetched.data):
            raise layout.UnreadableError("has not arrived whole yet")
        yield codec.open(fetched.data, PACKED_CAP, layout.batch_label(one.device, layout.batch_seq(name) or 0))


def _reached(session: Session, device: str) -> int:
    row = session.db.execute(
        "SELECT seq FROM cursors WHERE remote = ? AND device = ?", (session.repo, device)
    ).fetchone()
    return int(row[0]) if row else 0


def _down(registry: Registry, remote: Remote, bodies: Iterable[bytes]) -> Side:
    made: list[Change] = []
    for body in bodies:
        made += batches.decode(body)
    db = registry.db
    device = clock.device_id(db)
    policy = of_device(db, device)
    wanted = {blob.sha256: blob for blob in queue.due(db, remote.repo, "down", everything=True)}
    for blob in _blobs(made):
        if wants(registry, device, policy, blob):
            wanted.setdefault(blob.sha256, blob)
    files = _files(registry, remote, "down", wanted.values(), _told(made))
    return _side(wording.in_words(registry, made, _shown_now(db)), len(made), files)


def _told(made: Iterable[Change]) -> dict[str, tuple[str, int]]:
    """(name, size) of the files that sound changes tell of."""
    sound = (change for change in made if change[0] == "file" and incoming.is_sound(change))
    return {change[1]: (change[2]["name"], change[2]["size"]) for change in sound}


def _shown_now(db: sqlite3.Connection) -> wording.Before:
    def before(item: str, field: str, stamp: str) -> object:
        del stamp
        found = projection.best_facts(db, item).get(field)
        return found[0] if found else None

    return before


# what goes up ---------------------------------------------------------------------------------------------------------


def _up(registry: Registry, remote: Remote) -> Side:
    db = registry.db
    made = list(islice(_not_sent(db, remote, codec_of(registry, remote)), MOST_CHANGES))
    sends_weights = of_device(db, clock.device_id(db)).upload == "yes"
    wanted = {blob.sha256: blob for blob in queue.due(db, remote.repo, "up", everything=True)}
    wanted |= {blob.sha256: blob for blob in _blobs(made) if blob.sha256 not in wanted}
    there = {row[0] for row in db.execute("SELECT sha256 FROM remote_blobs WHERE remote = ?", (remote.repo,))}
    going = [blob for blob in wanted.values() if blob.sha256 not in there and (blob.kind == "picture" or sends_weights)]
    files = _files(registry, remote, "up", going, {})
    return _side(wording.in_words(registry, made, _said_before(db)), _count_not_sent(db, remote), files)


_OUTBOX = "FROM outbox WHERE id > ? AND (origin IS NULL OR origin <> ?)"


def _not_sent(db: sqlite3.Connection, remote: Remote, codec: Codec) -> Iterator[Change]:
    """What was frozen and not announced, then what waits to be frozen."""
    rows = db.execute(
        "SELECT device, seq, body FROM outbound WHERE remote = ? AND sent = 0 ORDER BY seq", (remote.repo,)
    )
    for device, seq, body in rows:
        yield from batches.decode(codec.open(body, PACKED_CAP, layout.batch_label(device, seq)))
    for (line,) in db.execute(f"SELECT change {_OUTBOX} ORDER BY id", (remote.frozen_to, remote.repo)):
        yield msgspec.json.decode(line)


def _count_not_sent(db: sqlite3.Connection, remote: Remote) -> int:
    sql = "SELECT coalesce(sum(changes), 0) FROM outbound WHERE remote = ? AND sent = 0"
    (frozen,) = db.execute(sql, (remote.repo,)).fetchone()
    (waiting,) = db.execute(f"SELECT count(*) {_OUTBOX}", (remote.frozen_to, remote.repo)).fetchone()
    return int(frozen) + int(waiting)


def _said_before(db: sqlite3.Connection) -> wording.Before:
    """What a person's edit on this machine took the place of, as far as the journal goes back."""

    def before(item: str, field: str, stamp: str) -> object:
        # The stamp is as old as its entry or a little older.
        since = timestamps.of_seconds(clock.stamp_ms(stamp) / 1000)
        row = db.execute(
            "SELECT s.before FROM journal_steps s JOIN journal j ON j.id = s.entry WHERE s.item = ? AND s.name = ? "
            "AND s.kind = 'fact' AND j.at >= ? ORDER BY j.id LIMIT 1",
            (item, field, since),
        ).fetchone()
        sayings = msgspec.json.decode(row[0]) if row else []
        return msgspec.json.decode(sayings[0][0]) if sayings else None

    return before


# files ----------------------------------------------------------------------------------------------------------------


def _blobs(made: Iterable[Change]) -> Iterator[Wanted]:
    for change in made:
        if incoming.is_sound(change):
            yield from queue.blobs_of(change)


_FILES = """
SELECT j.value AS sha256, f.name, f.size, q.problem,
    EXISTS (SELECT 1 FROM places p WHERE p.sha256 = j.value AND p.state IN ('present', 'offline')) AS is_here
FROM json_each(:wanted) j LEFT JOIN files f ON f.sha256 = j.value
    LEFT JOIN blob_queue q ON q.sha256 = j.value AND q.remote = :repo AND q.way = :way
"""


def _files(
    registry: Registry, remote: Remote, way: Way, wanted: Iterable[Wanted], told: dict[str, tuple[str, int]]
) -> list[Waiting]:
    """The blobs that can go up because they are here, or that come down; ``told``: (name, size) of those not known yet."""
    kinds = {blob.sha256: blob.kind for blob in wanted}
    asked = {"wanted": msgspec.json.encode(list(kinds)).decode(), "repo": remote.repo, "way": way}
    found = []
    for row in registry.db.execute(_FILES, asked):
        sha256, kind = row["sha256"], kinds[row["sha256"]]
        if kind == "picture":
            path = blobs.path_of(registry, sha256)
            is_here, name = path.is_file(), f"picture {sha256[:8]}"
            size = path.stat().st_size if is_here else 0
        else:
            is_here, (name, size) = row["is_here"], told.get(sha256, (sha256[:8], 0))
            if row["name"] is not None:
                name, size = row["name"], row["size"]
        if way == "down" or is_here:
            found.append(Waiting(sha256, name, size, kind, row["problem"] or ""))
    return found


def _side(edits: list[str], changes: int, files: list[Waiting]) -> Side:
    ordered = sorted(files, key=lambda one: (one.kind, one.size, one.name))
    total = sum(one.size for one in files)
    return Side(
        edits=tuple(edits), changes=changes, files=tuple(ordered[:MOST_FILES]), file_count=len(files), bytes=total
    )
