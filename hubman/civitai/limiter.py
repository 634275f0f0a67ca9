"""One limiter for all processes of a home: nobody sends a request before the machine as a whole may.

The API of a site has a lane with a token bucket and a cap of requests in flight. Hosts of files and pictures have lanes
without either, which only pause. Downloads go through the API's lane, but what they are refused pauses only downloads: the
site counts them apart.
"""

from __future__ import annotations

import contextlib
import logging
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import msgspec

from hubman.civitai import pace
from hubman.civitai.errors import BusyError, CircuitOpenError
from hubman.civitai.ledger import Ledger
from hubman.civitai.limits import LEASE, PATIENCE, Limits, limits_for
from hubman.civitai.pace import Lane, Wait

_log = logging.getLogger(__name__)
SCHEMA = """
CREATE TABLE IF NOT EXISTS lanes (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS in_flight (id INTEGER PRIMARY KEY, lane TEXT NOT NULL, expires_at REAL NOT NULL);
"""
_DOWNLOADS = " downloads"


def ledger_path(home: Path) -> Path:
    return home / "civitai" / "limiter.db"


def api_lane(site: str) -> str:
    """The name of the lane of a site's API: its host, with a port where the address has one."""
    return urlsplit(site).netloc.lower()


def load_lane(db: sqlite3.Connection, name: str) -> Lane:
    """What the ledger says of a lane; a new one where it says nothing that can be read."""
    row = db.execute("SELECT state FROM lanes WHERE name = ?", (name,)).fetchone()
    try:
        return msgspec.json.decode(row[0], type=Lane) if row else Lane()
    except msgspec.DecodeError:
        return Lane()


class Unlimited:
    """The limiter of a client that shares with nobody: every request may go at once."""

    def request(self, url: str, *, patience: float = PATIENCE, until_closed: float = PATIENCE) -> Permit:
        del url, patience, until_closed
        return Permit()


class Limiter(Unlimited):
    """The gate for one site's requests and for the hosts that it points to.

    ``hosts`` are those whose ``/api/`` is limited. ``clock`` tells seconds since 1970, which is what processes share.
    """

    def __init__(
        self,
        ledger: Path | Ledger,
        hosts: frozenset[str],
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger = Ledger(ledger, SCHEMA) if isinstance(ledger, Path) else ledger
        self._hosts = hosts
        self._clock, self._sleep = clock, sleep

    def close(self) -> None:
        self._ledger.close()

    def request(self, url: str, *, patience: float = PATIENCE, until_closed: float = PATIENCE) -> Permit:
        """Wait until a request to ``url`` may be sent; a context manager that counts it as in flight.

        Raises at once :class:`CircuitOpenError` when the site fails and is not asked for longer than ``until_closed``
        seconds, and :class:`BusyError` when the turn does not come within ``patience`` seconds.
        """
        lanes = self._lanes(url)
        deadline = self._clock() + patience
        while True:
            now = self._clock()
            try:
                got = self._try(lanes, now)
            except sqlite3.Error:
                # The ledger has mended itself, if need be by one in memory.
                got = self._try(lanes, now)
            if isinstance(got, Permit):
                return got
            wait, why = got
            is_too_long = wait.reason == "circuit" and wait.seconds > until_closed
            if is_too_long or now + wait.seconds > deadline:
                raise _refusal(lanes[0], wait, why)
            self._sleep(wait.seconds)

    def _lanes(self, url: str) -> tuple[str, ...]:
        parts = urlsplit(url)
        host = parts.netloc.lower().rpartition("@")[2]
        if host not in self._hosts or not parts.path.startswith("/api/"):
            # Apart from the API's lane also where one host serves both.
            return (f"{host} files",)
        return (host, host + _DOWNLOADS) if parts.path.startswith("/api/download/") else (host,)

    def _try(self, names: tuple[str, ...], now: float) -> Permit | tuple[Wait, str]:
        limits = self._limits(names[0])
        with self._ledger.transaction() as db:
            lanes = {name: pace.refilled(load_lane(db, name), limits or Limits(), now) for name in names}
            in_flight = self._in_flight(db, names[0], now) if limits else 0
            for name, lane in lanes.items():
                wait = pace.obstacle(lane, limits if name == names[0] else None, now, in_flight)
                if wait:
                    return wait, lane.why
            for name, lane in lanes.items():
                _store(db, name, pace.taken(lane, limits if name == names[0] else None, now))
            slot = _take_slot(db, names[0], now) if limits else 0
        trials = tuple(name for name, lane in lanes.items() if lane.open_until)
        return _Taken(self, names, trials, slot, now)

    def _limits(self, name: str) -> Limits | None:
        """The limits of an API's lane; the lanes of files have none."""
        return limits_for(name) if name in self._hosts else None

    @staticmethod
    def _in_flight(db: sqlite3.Connection, name: str, now: float) -> int:
        # A lease that ends later than one can is of a clock that was set back.
        db.execute("DELETE FROM in_flight WHERE expires_at <= ? OR expires_at > ?", (now, now + 2 * LEASE))
        (count,) = db.execute("SELECT count(*) FROM in_flight WHERE lane = ?", (name,)).fetchone()
        return int(count)

    def report(self, name: str, change: Callable[[Lane, Limits, float], Lane]) -> None:
        """Write down what became of a request."""
        limits, now = limits_for(name.partition(" ")[0]), self._clock()
        lane = after = Lane()
        with contextlib.suppress(sqlite3.Error), self._ledger.transaction() as db:
            lane = load_lane(db, name)
            after = change(lane, limits, now)
            if after != lane:
                _store(db, name, after)
        if after.open_until > now and not lane.open_until > now:
            _log.warning("%s fails (%s): not asked for %.0f s", name, after.why, after.open_until - now)

    def give_back(self, slot: int) -> None:
        with contextlib.suppress(sqlite3.Error), self._ledger.transaction() as db:
            db.execute("DELETE FROM in_flight WHERE id = ?", (slot,))


class Permit:
    """The right to send one request; what came of it is told before the context ends."""

    def __enter__(self) -> Permit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def answered(self, status: int, *, told: float | None = None, is_page: bool = False) -> None:
        """The answer's status, the seconds of its ``Retry-After``, and whether it is a web page in place of data."""

    def unreached(self, why: str) -> None:
        """No answer came."""


class _Taken(Permit):
    """``trials`` are those of its ``lanes`` that wait for what becomes of it before they let another through."""

    def __init__(
        self, limiter: Limiter, lanes: tuple[str, ...], trials: tuple[str, ...], slot: int, sent_at: float
    ) -> None:
        self._limiter, self._lanes, self._trials, self._slot, self._sent_at = limiter, lanes, trials, slot, sent_at

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._slot:
            self._limiter.give_back(self._slot)
        for name in self._trials:
            self._limiter.report(name, lambda lane, _limits, _now: pace.released(lane, self._sent_at))

    def answered(self, status: int, *, told: float | None = None, is_page: bool = False) -> None:
        if status == 429:
            self._tell(lambda lane, _limits, now: pace.refused(lane, now, told=told, sent_at=self._sent_at))
        if is_page or status >= 500:
            why = "a page in place of data" if is_page else f"HTTP {status}"
            self._tell(lambda lane, limits, now: pace.failed(lane, limits, now, why=why, told=told))
        elif status != 429:
            for name in self._lanes:
                self._limiter.report(name, lambda lane, _limits, _now: pace.succeeded(lane))

    def unreached(self, why: str) -> None:
        self._tell(lambda lane, limits, now: pace.failed(lane, limits, now, why=why, reached=False))

    def _tell(self, change: Callable[[Lane, Limits, float], Lane]) -> None:
        self._limiter.report(self._lanes[-1], change)


def _store(db: sqlite3.Connection, name: str, lane: Lane) -> None:
    db.execute("INSERT OR REPLACE INTO lanes VALUES (?, ?)", (name, msgspec.json.encode(lane).decode()))


def _take_slot(db: sqlite3.Connection, name: str, now: float) -> int:
    # By chance, for a number may be given back to another ledger than it came from: where the first can't be used.
    slot = random.getrandbits(62) + 1
    db.execute("INSERT INTO in_flight (id, lane, expires_at) VALUES (?, ?, ?)", (slot, name, now + LEASE))
    return slot


def _refusal(host: str, wait: Wait, why: str) -> BusyError | CircuitOpenError:
    seconds = max(1, round(wait.seconds))
    host = host.partition(" ")[0]
    if wait.reason == "circuit":
        return CircuitOpenError(
            f"{host} fails at present ({why}) and is not asked for {seconds} s", "try again then", wait=wait.seconds
        )
    if wait.reason == "pause":
        return BusyError(f"{host} asks for a pause of {seconds} s ({why})", "try again then", wait=wait.seconds)
    return BusyError(f"too many requests wait for {host}", "try again in a minute", wait=wait.seconds)
