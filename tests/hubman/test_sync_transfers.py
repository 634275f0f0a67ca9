"""Files on their way: several at once, held and let go on, resumed, and never believed before their hash."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hubman.progress import Progress
from hubman.sync.lock import BusyError
from hubman.sync.policies import policy
from hubman.sync.storages.folder import FolderStorage
from hubman.sync.transfer import crew, download, filling, holding, partial, sending, settling, tally, transfers
from hubman.sync.transfer.crew import MOST_REQUESTS
from registry import library
from registry.errors import CancelledError, UsageError
from tests.support import sync_kills
from tests.support.machines import Machine, WatchedStorage, sha256_of

PIECE = 2000


@pytest.fixture
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of 2000 bytes, each noted at once."""
    for module in (partial, filling, download):
        monkeypatch.setattr(module, "PIECE", PIECE)
    monkeypatch.setattr(partial, "NOTE_BYTES", 1)


class Wide(WatchedStorage):
    """A remote that would take any number of requests, lets none end before ``meeting`` are there, and counts them."""

    concurrency = 50

    def __init__(self, root: Path, meeting: int) -> None:
        super().__init__(root, before=self._enter, after=self._leave)
        self._meeting, self._met = meeting, threading.Event()
        self._guard = threading.Lock()
        self._now = self.most = 0

    def _enter(self, operation: str, key: str) -> None:
        del key
        with self._guard:
            self._now += 1
            self.most = max(self.most, self._now)
        if operation in {"put_stream", "read_range"}:
            if self._now >= self._meeting:
                self._met.set()
            assert self._met.wait(20)

    def _leave(self, operation: str, key: str) -> None:
        del operation, key
        with self._guard:
            self._now -= 1


def names(machine: Machine) -> list[str]:
    folder = machine.registry.models_folder
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def add_some(machine: Machine, count: int) -> None:
    for number in range(count):
        machine.add_lora(f"lora {number}", seed=number)


def test_eight_requests_run_at_once_and_never_more(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    add_some(a, 20)
    storage = Wide(a.remote, MOST_REQUESTS)
    assert a.sync(storage=storage).uploaded == 20
    assert storage.most == MOST_REQUESTS


@pytest.mark.usefixtures("_small_pieces")
def test_ranges_of_one_file_come_at_once(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    add_some(a, 1)
    a.sync()
    storage = Wide(b.remote, 2)
    assert b.sync(storage=storage).downloaded == 1
    assert sha256_of(b.registry.models_folder / "lora 0.safetensors") == sha256_of(
        a.registry.models_folder / "lora 0.safetensors"
    )


@pytest.mark.usefixtures("_small_pieces")
def test_a_file_that_moves_is_told_with_its_bytes(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "_TELL_S", 0)
    monkeypatch.setattr(sending, "PIECE", PIECE)
    a, b = pair
    add_some(a, 1)
    size = (a.registry.models_folder / "lora 0.safetensors").stat().st_size
    for machine, stage in ((a, "upload"), (b, "download")):
        told: list[Progress] = []
        machine.sync(report=told.append, limit_rate=3 * size)
        events = [event for event in told if event.stage == stage]
        files = [tuple(one) for event in events for one in event.data["moving"]]
        assert {(name, of) for name, _, of in files} == {("lora 0.safetensors", size)}
        done = [done for _, done, _ in files]
        assert done == sorted(done)
        assert len({0, size, *done}) > 2
        assert events[-1].data["moving"] == []


def test_paused_files_wait_while_words_go_on(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    add_some(a, 2)
    holding.pause(a.registry)
    result = a.sync()
    assert (result.uploaded, result.warnings) == (0, ())
    assert "paused" in result.held
    b.sync()
    assert [row.flags for row in library.list_models(b.registry)] == ["R", "R"]
    holding.resume(a.registry)
    result = a.sync()
    assert (result.uploaded, result.held) == (2, "")


def test_a_pause_in_the_middle_keeps_what_went_and_what_came(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "_TELL_S", 0)
    monkeypatch.setattr(crew, "_AHEAD", 1)
    a, b = pair
    add_some(a, 40)
    total = sum(path.stat().st_size for path in a.registry.models_folder.iterdir())

    def pause_at(machine: Machine, stage: str) -> Any:
        def report(event: Progress) -> None:
            if event.stage == stage and event.data["files"]:
                holding.pause(machine.registry)

        return report

    for machine, stage in ((a, "upload"), (b, "download")):
        first = machine.sync(report=pause_at(machine, stage))
        assert "paused" in first.held
        holding.resume(machine.registry)
        rest = machine.sync(deep=True)
        moved = [getattr(result, f"{stage}ed_bytes") for result in (first, rest)]
        assert 0 < moved[0] < total
        assert sum(moved) == total
    assert len(names(b)) == 40


@pytest.mark.parametrize(
    ("window", "minute", "is_within"),
    [
        ("01:00-07:00", 60, True),
        ("01:00-07:00", 419, True),
        ("01:00-07:00", 420, False),
        ("01:00-07:00", 59, False),
        ("22:30-06:00", 1350, True),
        ("22:30-06:00", 0, True),
        ("22:30-06:00", 360, False),
        ("22:30-06:00", 720, False),
        ("08:00-08:00", 3, True),
    ],
)
def test_hours_may_pass_midnight(window: str, minute: int, is_within: bool) -> None:
    assert holding.is_within(window, minute) == is_within


def test_what_is_no_window_is_refused() -> None:
    with pytest.raises(UsageError, match="01:00-07:00"):
        holding.is_within("25:00-01:00", 0)


def test_outside_its_hours_a_machine_moves_no_file(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    add_some(a, 1)
    later = datetime.now().astimezone() + timedelta(hours=6)
    closed = f"{later:%H:%M}-{later + timedelta(minutes=1):%H:%M}"
    policy.set_policy(a.registry, policy.Policy(window=closed))
    assert closed[:5] in a.sync().held
    policy.set_policy(a.registry, policy.Policy(window="00:00-00:00"))
    assert a.sync().uploaded == 1


@pytest.mark.parametrize("way", ["option", "policy"])
def test_a_rate_holds_back_and_lets_itself_be_stopped(pair: tuple[Machine, Machine], way: str) -> None:
    a, b = pair
    add_some(a, 3)
    a.sync()
    if way == "policy":
        policy.set_policy(b.registry, policy.Policy(rate_down=1))
    told: list[Progress] = []
    with pytest.raises(CancelledError):
        # Each file takes an hour at this rate.
        b.sync(
            limit_rate=1 if way == "option" else 0,
            report=told.append,
            should_stop=lambda: sum(event.stage == "download" for event in told) > 1,
        )
    assert names(b) == []
    policy.set_policy(b.registry, policy.Policy(rate_down=1 << 40))
    assert b.sync().downloaded == 3


def test_a_file_goes_up_in_small_steps_where_the_rate_is_low(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    a.add_lora("ink", rank=300)
    size = next(a.registry.models_folder.iterdir()).stat().st_size
    sent: list[int] = []

    class Watching(FolderStorage):
        def put_stream(self, key: str, pieces: Iterable[bytes], size: int) -> None:
            kept = list(pieces)
            if key.startswith("blob/"):
                sent.extend(len(piece) for piece in kept)
            super().put_stream(key, kept, size)

    assert size > 2 * (256 << 10)
    a.sync(limit_rate=size, storage=Watching(a.remote))
    assert len(sent) > 1
    assert sum(sent) == size


def test_progress_counts_all_files_and_ends_at_its_total(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    add_some(a, 5)
    sizes = [path.stat().st_size for path in a.registry.models_folder.iterdir()]
    for machine, stage in ((a, "upload"), (b, "download")):
        told: list[Progress] = []
        machine.sync(report=told.append)
        moving = [event for event in told if event.stage == stage]
        assert [event.done for event in moving] == sorted(event.done for event in moving)
        last = moving[-1]
        assert (last.done, last.total, last.unit) == (sum(sizes), sum(sizes), "B")
        assert (last.data["files"], last.data["files_total"]) == (5, 5)
        assert last.data["rate"] > 0
        assert last.data["left"] == 0


def _leave_half(b: Machine) -> Path:
    """Stop a download when some ranges came; its part."""
    storage = WatchedStorage(b.remote)

    def is_enough() -> bool:
        row = b.registry.db.execute("SELECT done FROM transfers").fetchone()
        return row is not None and len(msgspec.json.decode(row[0])) >= 2

    with pytest.raises(CancelledError):
        b.sync(storage=storage, should_stop=is_enough)
    (part,) = b.registry.models_folder.iterdir()
    assert transfers.is_part(part.name)
    return part


@pytest.mark.usefixtures("_small_pieces")
def test_a_stopped_download_goes_on_where_it_was(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink", rank=16)
    a.sync()
    part = _leave_half(b)
    (done,) = b.registry.db.execute("SELECT done FROM transfers").fetchone()
    storage = WatchedStorage(b.remote)
    b.sync(storage=storage)
    ranges = -(-(b.registry.models_folder / "ink.safetensors").stat().st_size // PIECE)
    assert storage.counts["read_range"] == ranges - len(msgspec.json.decode(done))
    assert not part.exists()


@pytest.mark.usefixtures("_small_pieces")
def test_ranges_that_a_power_cut_took_come_once_more_and_only_they(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink", rank=16)
    a.sync()
    part = _leave_half(b)
    (done,) = b.registry.db.execute("SELECT done FROM transfers").fetchone()
    part.write_bytes(b"\0" * part.stat().st_size)
    storage = WatchedStorage(b.remote)
    assert b.sync(storage=storage).downloaded == 1
    size = (a.registry.models_folder / "ink.safetensors").stat().st_size
    assert storage.counts["read_range"] == -(-size // PIECE)
    assert len(msgspec.json.decode(done)) >= 2
    assert sha256_of(b.registry.models_folder / "ink.safetensors") == sha256_of(
        a.registry.models_folder / "ink.safetensors"
    )


@pytest.mark.usefixtures("_small_pieces")
def test_a_large_file_of_another_content_never_gets_its_place(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink", rank=16)
    a.sync()
    (blob,) = a.remote.glob("blob/*/*")
    blob.write_bytes(b"x" * blob.stat().st_size)
    result = b.sync()
    assert "damaged on the remote" in result.warnings[0]
    assert names(b) == []
    assert len(list((b.home / "quarantine").iterdir())) == 1


def test_a_full_disk_is_told_before_the_first_byte(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    add_some(a, 2)
    a.sync()
    monkeypatch.setattr(settling, "SPARE", 1 << 60)
    storage = WatchedStorage(b.remote)
    result = b.sync(storage=storage)
    assert "MiB free" in result.warnings[0]
    assert (result.downloaded, names(b), storage.counts["read_range"]) == (0, [], 0)
    monkeypatch.setattr(settling, "SPARE", 0)
    assert b.sync().downloaded == 2


def test_parts_that_nobody_knows_are_removed_after_a_week(pair: tuple[Machine, Machine]) -> None:
    _, b = pair
    folder = b.registry.models_folder
    folder.mkdir()
    old, fresh, foreign = folder / "x.safetensors.part-0123abcd", folder / "y.part-0123abcd", folder / "z.part-mine"
    for path in (old, fresh, foreign):
        path.write_bytes(b"x")
    for path in (old, foreign):
        os.utime(path, (0, 0))
    b.sync(deep=True)
    assert names(b) == [fresh.name, foreign.name]


def test_a_remote_that_fails_again_and_again_is_asked_no_more(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    add_some(a, 30)
    a.sync()
    monkeypatch.setattr(crew, "_AHEAD", 1)
    for blob in list(a.remote.glob("blob/*/*")):
        target = blob.rename(blob.with_name(blob.name + ".moved"))
        blob.symlink_to(target)
    storage = WatchedStorage(b.remote)
    result = b.sync(storage=storage)
    assert "again and again" in result.warnings[-1]
    assert storage.counts["get"] < 30


@pytest.mark.parametrize("seed", [1, 2])
def test_a_transfer_killed_at_any_instant_goes_on(place: Path, seed: int) -> None:
    sync_kills.kill_and_mend(place, seed)


def test_a_second_process_on_one_home_is_refused_while_files_move(place: Path) -> None:
    pair = sync_kills.Pair(place, 3)
    victim = sync_kills.start(pair.a, "upload")
    try:
        with pytest.raises(BusyError):
            pair.a.sync()
    finally:
        sync_kills.kill(victim, 20)
    pair.b.sync()
    pair.check()
    pair.close()
