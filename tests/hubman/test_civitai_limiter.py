"""All processes of a home ask the site as one, and stop together when it wants that."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubman.civitai import budget, pace
from hubman.civitai.errors import BusyError, CircuitOpenError, RateLimitError, UnavailableError
from hubman.civitai.ledger import Ledger
from hubman.civitai.limiter import SCHEMA, Limiter, ledger_path
from hubman.civitai.limits import FAILURES, LEASE, LOWEST_SHARE, RECOVERY, Limits, limits_for
from hubman.civitai.pace import Lane
from hubman.sandbox import Fault
from registry.errors import UsageError
from tests.support.civitai import Bench, bench

_SITE = "civitai.example"
_URL = f"https://{_SITE}/api/v1/models"


class _MustWaitError(Exception):
    """The limiter wants to wait, and time stands still."""


@dataclass
class _Time:
    now: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def _stop(_seconds: float) -> None:
    raise _MustWaitError


@pytest.fixture
def time() -> _Time:
    return _Time()


def _limiter(home: Path, time: _Time, *, waits: bool = False) -> Limiter:
    return Limiter(ledger_path(home), frozenset({_SITE}), clock=time, sleep=time.sleep if waits else _stop)


def _send(limiter: Limiter, status: int = 200, *, told: float | None = None, url: str = _URL) -> None:
    with limiter.request(url) as permit:
        permit.answered(status, told=told)


def _sent(limiter: Limiter, at_most: int = 1000) -> int:
    """How many requests go out while time stands still."""
    for count in range(at_most):
        try:
            _send(limiter)
        except _MustWaitError:
            return count
    return at_most


# the bucket and the cap ------------------------------------------------------------------------------------------------


def test_a_burst_goes_at_once_and_then_the_rate_holds(tmp_path: Path, time: _Time) -> None:
    limiter, limits = _limiter(tmp_path, time), limits_for(_SITE)
    assert _sent(limiter) == limits.burst
    time.now += 3
    assert _sent(limiter) == 3 * limits.rate


def test_a_cap_holds_for_what_is_in_flight(tmp_path: Path, time: _Time) -> None:
    first, second = _limiter(tmp_path, time), _limiter(tmp_path, time)
    held = [first.request(_URL), first.request(_URL), second.request(_URL), second.request(_URL)]
    with pytest.raises(_MustWaitError):
        second.request(_URL)
    held[0].__exit__(None, None, None)
    second.request(_URL)


def test_waiting_ends_with_the_turn_and_never_lasts_too_long(tmp_path: Path, time: _Time) -> None:
    limiter = _limiter(tmp_path, time, waits=True)
    for _ in range(30):
        _send(limiter)
    assert sum(time.slept) == pytest.approx((30 - limits_for(_SITE).burst) / limits_for(_SITE).rate)
    _send(limiter, 429, told=600)
    with pytest.raises(BusyError, match="pause of 600 s") as caught:
        _send(limiter)
    assert caught.value.wait == pytest.approx(600)


def test_files_and_pictures_use_up_nothing_and_pause_alone(tmp_path: Path, time: _Time) -> None:
    limiter, picture = _limiter(tmp_path, time), "https://image.example/a.jpeg"
    for _ in range(100):
        _send(limiter, url=picture)
    _send(limiter, 429, told=60, url=picture)
    with pytest.raises(_MustWaitError):
        limiter.request(picture)
    assert _sent(limiter) == limits_for(_SITE).burst


def test_what_downloads_are_refused_does_not_stop_reading(tmp_path: Path, time: _Time) -> None:
    limiter, download = _limiter(tmp_path, time), f"https://{_SITE}/api/download/models/5"
    _send(limiter, 429, told=60, url=download)
    with pytest.raises(_MustWaitError):
        limiter.request(download)
    # The refused one went through the API too.
    assert _sent(limiter) == limits_for(_SITE).burst - 1


_CHILD = """
import sys
from pathlib import Path
from hubman.civitai.client import Civitai
from hubman.civitai.errors import CivitaiError
from hubman.civitai.limiter import Limiter
from hubman.civitai.shared import Shared
home, site, token = sys.argv[1:]
now = 0.0
class MustWait(Exception): pass
def stop(seconds): raise MustWait
shared = Shared(Path(home), clock=lambda: now)
client = Civitai(site, token, sleep=stop, shared=shared)
held = []
print("ready", flush=True)
for line in sys.stdin:
    verb, moment = line.split()
    now, sent = float(moment), 0
    try:
        while True:
            if verb == "hold":
                held.append(shared.limiter(site, stop).request(site + "/api/v1/enums"))
            else:
                client.me()
            sent += 1
    except MustWait:
        pass
    print(sent, flush=True)
"""


class _Three:
    """Three processes that do the same at the same frozen moment."""

    def __init__(self, home: Path, site: str, token: str) -> None:
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(home), site, token],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(3)
        ]  # fmt: skip
        for process in self.processes:
            assert _pipe(process.stdout).readline() == "ready\n"

    def do(self, verb: str, moment: float) -> int:
        for process in self.processes:
            _pipe(process.stdin).write(f"{verb} {moment}\n")
            _pipe(process.stdin).flush()
        return sum(int(_pipe(process.stdout).readline()) for process in self.processes)

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            _pipe(process.stdin).close()
            _pipe(process.stdout).close()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def test_three_processes_never_ask_more_than_one_may(
    tmp_path: Path, site: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBMAN_CIVITAI_RATE", "2")
    home, address = tmp_path / "shared", site.sandbox.url
    three = _Three(home, address, site.sandbox.token())
    try:
        before = site.asked("/api/v1/me")
        assert three.do("ask", 1000) == 20
        assert three.do("ask", 1003) == 6
        assert site.asked("/api/v1/me") - before == 26
        site.sandbox.settings.faults = [Fault("/api/v1/me", status=429, headers={"Retry-After": "30"})]
        assert three.do("ask", 1004) <= 1
        # One was refused: all three pause for as long as that one was told.
        assert three.do("ask", 1033) == 0
        assert budget.read(home, address, clock=lambda: 1014).paused_for == pytest.approx(20)
        # Two a second before; half of it, and a little that recovered, from then on.
        assert three.do("ask", 1044) == 10
        assert three.do("hold", 1400) == limits_for(address.partition("//")[2]).in_flight
    finally:
        three.kill()
    now = [1401.0]
    alone = Limiter(ledger_path(home), frozenset({address.partition("//")[2]}), clock=lambda: now[0], sleep=_stop)
    with pytest.raises(_MustWaitError):
        alone.request(f"{address}/api/v1/me")
    now[0] = 1401.0 + LEASE
    alone.request(f"{address}/api/v1/me")


# 429 -------------------------------------------------------------------------------------------------------------------


def test_a_refusal_halves_the_rate_once_for_all_that_were_under_way(tmp_path: Path, time: _Time) -> None:
    limiter, limits = _limiter(tmp_path, time), limits_for(_SITE)
    first, second = limiter.request(_URL), limiter.request(_URL)
    time.now += 1
    first.answered(429, told=10)
    second.answered(429, told=5)
    for permit in (first, second):
        permit.__exit__(None, None, None)
    time.now += 10
    assert _sent(limiter) == 0
    time.now += 8
    share = 0.5 + 8 / RECOVERY
    assert _sent(limiter) == int(8 * limits.rate * share)
    time.now += RECOVERY
    assert _sent(limiter) == limits.burst


def test_without_a_told_time_pauses_grow(time: _Time) -> None:
    lane, pauses = Lane(), []
    for _ in range(8):
        lane = pace.refused(lane, time.now, told=None, sent_at=time.now)
        pauses.append(lane.paused_until - time.now)
        time.now = lane.paused_until + 1
    assert [round(pause / expected) for pause, expected in zip(pauses, (1, 2, 4, 8, 16, 30, 30, 30), strict=True)] == [
        1
    ] * 8
    assert lane.share == LOWEST_SHARE


def test_a_refused_read_is_asked_again_when_the_pause_ends(site: Bench, tmp_path: Path) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/me", status=429, headers={"Retry-After": "7"}, times=2)]
    with site.client(home=tmp_path) as client:
        assert client.me().username == "creator"
    assert sum(site.clock.slept[-4:]) == pytest.approx(14, abs=0.5)


def test_a_pause_too_long_to_sit_out_is_told_at_once(site: Bench, tmp_path: Path) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/me", status=429, headers={"Retry-After": "900"})]
    slept = len(site.clock.slept)
    with site.client(home=tmp_path) as client:
        with pytest.raises(RateLimitError):
            client.me()
        with pytest.raises(BusyError, match="pause of 900 s"):
            client.me()
    assert len(site.clock.slept) == slept
    found = budget.read(tmp_path, site.sandbox.url, clock=site.clock.seconds)
    assert (found.left, found.why) == (0, "too many requests")
    assert found.paused_for == pytest.approx(900)


# the circuit -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 502},
        {
            "status": 403,
            "body": "<!DOCTYPE html><title>Just a moment</title>",
            "headers": {"Content-Type": "text/html"},
        },
        {"status": 200, "body": "<html>maintenance</html>", "headers": {"Content-Type": "text/html; charset=utf-8"}},
    ],
)
def test_a_site_that_fails_is_left_alone_tried_once_and_used_again(
    site: Bench, tmp_path: Path, fault: dict[str, object]
) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/me", times=99, **fault)]  # type: ignore[arg-type]
    with site.client(home=tmp_path) as client:
        before = site.asked("/me")
        for _ in range(FAILURES + 1):
            with pytest.raises(UnavailableError):
                client.me()
        assert site.asked("/me") - before == FAILURES
        with pytest.raises(CircuitOpenError, match="not asked for 1 s"):
            client.me()
        site.clock.sleep(1)
        site.sandbox.settings.faults = []
        assert client.me().username == "creator"
        assert client.me().username == "creator"


def test_behind_an_open_circuit_one_trial_is_sent_at_a_time(tmp_path: Path, time: _Time) -> None:
    limiter = _limiter(tmp_path, time)
    for _ in range(FAILURES):
        _send(limiter, 503)
    with pytest.raises(CircuitOpenError, match="not asked for 15 s"):
        limiter.request(_URL, until_closed=0)
    time.now += limits_for(_SITE).open_for
    _send(limiter, 503)
    # The trial failed: the next one waits twice as long.
    with pytest.raises(CircuitOpenError, match="not asked for 30 s"):
        limiter.request(_URL, until_closed=0)
    time.now += 2 * limits_for(_SITE).open_for
    trial = limiter.request(_URL)
    with pytest.raises(_MustWaitError):
        _limiter(tmp_path, time).request(_URL)
    trial.answered(404)
    limiter.request(_URL)


def test_a_trial_whose_process_was_killed_does_not_close_the_site_for_ever(tmp_path: Path, time: _Time) -> None:
    limiter = _limiter(tmp_path, time)
    for _ in range(FAILURES):
        _send(limiter, 503)
    time.now += limits_for(_SITE).open_for
    limiter.request(_URL)
    time.now += LEASE
    limiter.request(_URL)


@pytest.mark.parametrize("url", [_URL, f"https://{_SITE}/api/download/models/5"])
@pytest.mark.parametrize("status", [429, 500, 0])
def test_a_trial_that_came_to_nothing_leaves_the_next_free(tmp_path: Path, time: _Time, url: str, status: int) -> None:
    limiter = _limiter(tmp_path, time)
    for _ in range(FAILURES):
        _send(limiter, 503)
    time.now += limits_for(_SITE).open_for
    with contextlib.suppress(KeyboardInterrupt), limiter.request(url) as trial:
        if not status:
            raise KeyboardInterrupt
        trial.answered(status, told=2)
    time.now += 2 * limits_for(_SITE).open_for
    limiter.request(_URL)


def test_what_was_sent_before_the_circuit_opened_ends_no_trial(tmp_path: Path, time: _Time) -> None:
    limiter = _limiter(tmp_path, time)
    earlier = limiter.request(_URL)
    for _ in range(FAILURES):
        _send(limiter, 503)
    time.now += limits_for(_SITE).open_for
    limiter.request(_URL)
    earlier.__exit__(None, None, None)
    with pytest.raises(_MustWaitError):
        limiter.request(_URL)


def test_a_network_that_is_down_opens_the_circuit_without_growing_waits(tmp_path: Path, time: _Time) -> None:
    limiter = _limiter(tmp_path, time)
    for _ in range(FAILURES + 3):
        with limiter.request(_URL) as permit:
            permit.unreached("ConnectError")
        if (waited := budget.read(tmp_path, f"https://{_SITE}", clock=time).paused_for) > 0:
            assert waited <= limits_for(_SITE).open_for
            time.now += waited


# the file itself -------------------------------------------------------------------------------------------------------


def test_a_damaged_ledger_is_begun_anew(tmp_path: Path, time: _Time) -> None:
    path = ledger_path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database at all, " * 300)
    assert _sent(_limiter(tmp_path, time)) == limits_for(_SITE).burst


def test_a_home_that_can_not_be_written_still_has_limits(tmp_path: Path, time: _Time) -> None:
    (tmp_path / "civitai").write_text("a file in the way")
    assert _sent(_limiter(tmp_path, time)) == limits_for(_SITE).burst


def test_a_ledger_that_breaks_under_way_stops_nobody(tmp_path: Path, time: _Time) -> None:
    limiter = _limiter(tmp_path, time)
    with limiter.request(_URL) as permit:
        with contextlib.closing(sqlite3.connect(ledger_path(tmp_path))) as other:
            other.executescript("DROP TABLE lanes; DROP TABLE in_flight;")
        permit.answered(429)
    assert _sent(limiter) == limits_for(_SITE).burst


def test_who_could_not_write_for_a_moment_asks_with_the_others_again(tmp_path: Path, time: _Time) -> None:
    in_the_way = tmp_path / "civitai"
    in_the_way.write_text("a file")
    ledger = Ledger(ledger_path(tmp_path), SCHEMA, clock=time)
    apart = Limiter(ledger, frozenset({_SITE}), clock=time, sleep=_stop)
    _send(apart)
    time.now += 61
    _send(apart)
    assert not ledger.is_shared()
    in_the_way.unlink()
    held = apart.request(_URL)
    assert _sent(_limiter(tmp_path, time)) == limits_for(_SITE).burst
    time.now += 61
    _send(apart)
    assert ledger.is_shared()
    assert _sent(_limiter(tmp_path, time)) == limits_for(_SITE).burst - 1
    time.now += 60
    cap = [apart.request(_URL) for _ in range(limits_for(_SITE).in_flight)]
    # Its slot was in memory: it frees none of theirs.
    held.__exit__(None, None, None)
    with pytest.raises(_MustWaitError):
        apart.request(_URL)
    assert len(cap) == limits_for(_SITE).in_flight


def test_the_ledger_is_its_owner_s_alone(tmp_path: Path, time: _Time) -> None:
    _send(_limiter(tmp_path, time))
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in (tmp_path / "civitai").iterdir()}
    assert modes["limiter.db"] == "0o600"
    assert set(modes.values()) == {"0o600"}


def test_threads_of_one_client_take_turns(tmp_path: Path, time: _Time) -> None:
    limiter, went = _limiter(tmp_path, time), []

    def ask() -> None:
        went.append(_sent(limiter))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(went) == limits_for(_SITE).burst


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(["ok", "429", "503", "down", "wait", "back"]), st.floats(0, 1e7)), max_size=30)
)
def test_no_history_stops_a_lane_for_ever_or_lets_it_race(events: list[tuple[str, float]]) -> None:
    lane, limits, now = Lane(), Limits(), 1e6
    for kind, number in events:
        # As the limiter does before every look.
        lane = pace.refilled(lane, limits, now)
        match kind:
            case "ok":
                lane = pace.succeeded(pace.taken(lane, limits, now))
            case "429":
                lane = pace.refused(lane, now, told=number or None, sent_at=now - number)
            case "503" | "down":
                lane = pace.failed(lane, limits, now, why="x", told=number or None, reached=kind == "503")
            case "wait":
                now += number
            case _:
                now -= number
        assert lane.tokens is None or lane.tokens <= limits.burst
        assert LOWEST_SHARE <= lane.share <= 1
    lane = pace.refilled(lane, limits, now)
    assert pace.obstacle(pace.refilled(lane, limits, now + 3600 + LEASE), limits, now + 3600 + LEASE, 0) is None


def test_a_budget_is_read_without_a_ledger_and_of_the_configured_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HUBMAN_CIVITAI_URL", raising=False)
    assert budget.read(tmp_path) == budget.Budget(left=20, limit=20)
    assert not (tmp_path / "civitai").exists()
    monkeypatch.setenv("HUBMAN_CIVITAI_RATE", "0.5")
    assert budget.read(tmp_path).limit == 5
    monkeypatch.setenv("HUBMAN_CIVITAI_RATE", "fast")
    with pytest.raises(UsageError, match="HUBMAN_CIVITAI_RATE"):
        budget.read(tmp_path)


def test_the_line_of_status_loads_no_http() -> None:
    code = "import sys, hubman.civitai.budget; assert not {'httpx', 'keyring'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
