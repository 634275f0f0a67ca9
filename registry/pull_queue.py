"""The queue of downloads: what is wanted, in which order, and how far each has come. One row an item, of this machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from registry import timestamps
from registry.database import Registry
from registry.errors import NotFoundError

MOST_DEATHS = 10
"""So often an item is begun before it counts as what kills the process."""

State = Literal["queued", "running", "paused", "done", "failed"]


class PullItem(msgspec.Struct, frozen=True, kw_only=True):
    """A download. ``done`` and ``total`` are bytes; ``position`` is its place from 1, 0 once it has ended.

    ``error`` says why it failed or waits. Once done, ``version_id`` is the version in the library, ``path`` its file and
    ``verified`` whether Civitai vouches for its SHA-256. ``site`` and ``into`` are None for the usual ones; ``choice`` is
    what the verb keeps of the wishes.
    """

    id: int
    ref: str
    title: str
    state: State
    position: int
    done: int
    total: int
    error: str
    version_id: str
    path: str
    sha256: str
    verified: bool
    site: str | None
    into: str | None
    tries: int
    choice: dict[str, Any]

    @property
    def ended(self) -> bool:
        return self.state in {"done", "failed"}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to queue. ``same`` is its normal form: two that are the same are one item."""

    ref: str
    same: str
    title: str
    site: str | None = None
    into: str | None = None
    choice: dict[str, Any] = {}
    total: int = 0


def items(registry: Registry) -> list[PullItem]:
    """All of them: first what waits, in its order, then what has ended, the last first."""
    rows = registry.db.execute(
        "SELECT * FROM pulls ORDER BY state IN ('done', 'failed'), "
        "CASE WHEN state IN ('done', 'failed') THEN NULL ELSE position END, finished_at DESC, id DESC"
    ).fetchall()
    places: dict[int, int] = {}
    for row in rows:
        if row["state"] not in {"done", "failed"}:
            places[row["id"]] = len(places) + 1
    return [_item(row, places.get(row["id"], 0)) for row in rows]


def get(registry: Registry, number: int) -> PullItem:
    """Raises :class:`NotFoundError`."""
    row = registry.db.execute("SELECT * FROM pulls WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no download {number}", "hubman queue lists them")
    if row["state"] in {"done", "failed"}:
        return _item(row, 0)
    (place,) = registry.db.execute(
        "SELECT count(*) FROM pulls WHERE state NOT IN ('done', 'failed') AND (position, -id) <= (?, ?)",
        (row["position"], -number),
    ).fetchone()
    return _item(row, place)


def add(registry: Registry, wanted: Sequence[Wanted]) -> list[int]:
    """Queue these behind all others; returns the number of each. What waits already stays where it is."""
    with registry.transaction() as db:
        return [_add(db, one) for one in wanted]


def _add(db: sqlite3.Connection, one: Wanted) -> int:
    row = db.execute("SELECT id, state FROM pulls WHERE same = ?", (one.same,)).fetchone()
    if row and row["state"] not in {"done", "failed"}:
        return int(row["id"])
    values = (one.ref, one.title, one.site, one.into, msgspec.json.encode(one.choice).decode(), one.total)
    if row:
        db.execute(
            "UPDATE pulls SET ref = ?, title = ?, site = ?, folder = ?, choice = ?, total = ? WHERE id = ?",
            (*values, row["id"]),
        )
        _queue_again(db, [row["id"]])
        return int(row["id"])
    made = db.execute(
        "INSERT INTO pulls (ref, title, site, folder, choice, total, same, state, position, added_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', (SELECT coalesce(max(position), 0) + 1 FROM pulls), ?)",
        (*values, one.same, timestamps.now()),
    )
    return int(made.lastrowid or 0)


def _queue_again(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    for number in numbers:
        db.execute(
            "UPDATE pulls SET state = 'queued', error = '', tries = 0, done = 0, pid = NULL, finished_at = NULL, "
            "position = (SELECT coalesce(max(position), 0) + 1 FROM pulls) WHERE id = ?",
            (number,),
        )


def pause(registry: Registry, numbers: Sequence[int] | None, why: str = "") -> None:
    """Hold these, or all that wait or run; whoever downloads one of them stops at its next look."""
    _set_state(registry, numbers, "paused", ("queued", "running"), why)


def resume(registry: Registry, numbers: Sequence[int] | None) -> None:
    """Let these go on, or all that are paused."""
    _set_state(registry, numbers, "queued", ("paused",), "")


def _set_state(
    registry: Registry, numbers: Sequence[int] | None, state: State, among: tuple[State, ...], why: str
) -> None:
    marks = ", ".join("?" * len(among))
    # The process stays noted: it must let go of the file before another takes it.
    sql = f"UPDATE pulls SET state = ?, error = ?, tries = 0 WHERE state IN ({marks})"  # noqa: S608 - marks only
    with registry.transaction() as db:
        if numbers is None:
            db.execute(sql, (state, why, *among))
        for number in numbers or ():
            db.execute(f"{sql} AND id = ?", (state, why, *among, number))


def retry(registry: Registry, numbers: Sequence[int] | None) -> list[int]:
    """Queue those of these that failed again, or all that did; returns which."""
    with registry.transaction() as db:
        failed = [row[0] for row in db.execute("SELECT id FROM pulls WHERE state = 'failed' ORDER BY position")]
        chosen = [number for number in failed if numbers is None or number in numbers]
        _queue_again(db, chosen)
    return chosen


def remove(registry: Registry, numbers: Sequence[int]) -> None:
    """Forget these. What is downloading stops at its next look; bytes on disk stay, and serve a later pull."""
    with registry.transaction() as db:
        for number in numbers:
            db.execute("DELETE FROM pulls WHERE id = ?", (number,))


def move(registry: Registry, number: int, to: int) -> None:
    """Put an item at place ``to``, from 1, among those that wait. Raises :class:`NotFoundError`."""
    with registry.transaction() as db:
        waiting = [
            row[0]
            for row in db.execute("SELECT id FROM pulls WHERE state NOT IN ('done', 'failed') ORDER BY position, id")
        ]
        if number not in waiting:
            raise NotFoundError(f"download {number} does not wait", "hubman queue lists those that do")
        waiting.remove(number)
        waiting.insert(max(0, to - 1), number)
        db.executemany(
            "UPDATE pulls SET position = ? WHERE id = ?", [(place, one) for place, one in enumerate(waiting, 1)]
        )


# -- for the one that downloads ------------------------------------------------------------------------------------------


def claim(registry: Registry, pid: int, started: float | None, at_end: Callable[[sqlite3.Connection], None]) -> int:
    """Take the first that waits; its number, or 0 for none.

    ``at_end`` is called in the same transaction when there is none, so that nobody can add one to a queue whose
    downloader has just decided to go.
    """
    with registry.transaction() as db:
        row = db.execute("SELECT id FROM pulls WHERE state = 'queued' ORDER BY position, id LIMIT 1").fetchone()
        if row is None:
            at_end(db)
            return 0
        db.execute(
            "UPDATE pulls SET state = 'running', error = '', pid = ?, pid_started = ?, tries = tries + 1 WHERE id = ?",
            (pid, started, row[0]),
        )
        return int(row[0])


def progress(
    registry: Registry, number: int, *, done: int | None = None, total: int | None = None, title: str | None = None
) -> bool:
    """Note how far a download is; False when it was paused or removed meanwhile."""
    with registry.transaction() as db:
        found = db.execute(
            "UPDATE pulls SET done = coalesce(?, done), total = coalesce(?, total), title = coalesce(?, title) "
            "WHERE id = ? AND state = 'running'",
            (done, total, title, number),
        )
        return found.rowcount == 1


class Got(msgspec.Struct, frozen=True, kw_only=True):
    """What a download ended in."""

    version_id: str
    path: Path
    sha256: str
    size: int
    remote_version: int
    remote_file: int
    verified: bool


def finish(registry: Registry, number: int, got: Got) -> None:
    """Write down that an item is done, also one that was paused when nothing was left to do."""
    with registry.transaction() as db:
        db.execute(
            "UPDATE pulls SET state = 'done', error = '', version_id = ?, path = ?, sha256 = ?, done = ?, total = ?, "
            "remote_version = ?, remote_file = ?, verified = ?, pid = NULL, finished_at = ? WHERE id = ?",
            (got.version_id, str(got.path), got.sha256, got.size, got.size, got.remote_version, got.remote_file, got.verified,
             timestamps.now(), number),
        )  # fmt: skip


def fail(registry: Registry, number: int, why: str) -> None:
    with registry.transaction() as db:
        db.execute(
            "UPDATE pulls SET state = 'failed', error = ?, pid = NULL, finished_at = ? WHERE id = ? AND state = 'running'",
            (why, timestamps.now(), number),
        )


def put_back(registry: Registry, number: int, why: str, *, first: bool = False, is_try: bool = True) -> None:
    """Queue a running item again, behind the others or where it was: what was in its way may pass.

    ``is_try`` says whether this counts as one of its tries.
    """
    position = "position" if first else "(SELECT max(position) + 1 FROM pulls)"
    with registry.transaction() as db:
        db.execute(
            f"UPDATE pulls SET state = 'queued', error = ?, pid = NULL, position = {position}, "  # noqa: S608 - fixed texts
            "tries = max(0, tries - ?) WHERE id = ? AND state = 'running'",
            (why, 0 if is_try else 1, number),
        )


def recover(registry: Registry, is_alive: Callable[[int, float | None], bool]) -> int:
    """Queue again, at their place, what a process that died was at; returns how many.

    What processes died at :data:`MOST_DEATHS` times has failed: it must not take down every one that follows.
    """
    rows = registry.db.execute("SELECT id, pid, pid_started FROM pulls WHERE state = 'running'").fetchall()
    dead = [(row["id"],) for row in rows if row["pid"] is None or not is_alive(row["pid"], row["pid_started"])]
    if dead:
        with registry.transaction() as db:
            db.executemany(
                "UPDATE pulls SET pid = NULL, state = iif(tries < ?, 'queued', 'failed'), "
                "error = iif(tries < ?, error, 'the downloader died at it again and again: hubman jobs shows why') "
                "WHERE id = ? AND state = 'running'",
                [(MOST_DEATHS, MOST_DEATHS, number) for (number,) in dead],
            )
    return len(dead)


def pulled_before(registry: Registry, remote_version: int, remote_file: int, site: str | None) -> list[tuple[str, str]]:
    """Paths and SHA-256 under which this file of the site was put on this machine by earlier pulls."""
    rows = registry.db.execute(
        "SELECT path, sha256 FROM pulls WHERE state = 'done' AND remote_version = ? AND remote_file = ? AND site IS ?",
        (remote_version, remote_file, site),
    )
    return [(row[0], row[1]) for row in rows]


def _item(row: sqlite3.Row, position: int) -> PullItem:
    return PullItem(
        id=row["id"], ref=row["ref"], title=row["title"], state=row["state"], position=position, done=row["done"],
        total=row["total"], error=row["error"], version_id=row["version_id"], path=row["path"], sha256=row["sha256"],
        verified=bool(row["verified"]), site=row["site"], into=row["folder"], tries=row["tries"], choice=msgspec.json.decode(row["choice"]),
    )  # fmt: skip
