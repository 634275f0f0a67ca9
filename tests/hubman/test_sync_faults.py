"""Buckets on a bad day: answers that are cut, late, wrong or old. The outcome is right or unknown, never wrong."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hubman.sync.storages import cloud
from hubman.sync.storages.cloud import CloudStorage
from hubman.sync.storages.storage import PIECE, StorageError
from registry import edits
from registry.errors import HubError
from tests.support.fault_proxy import FAULTS, Fault, FaultProxy, fault_proxy
from tests.support.machines import Machine, quick_folder, settle, sha256_of
from tests.support.s3 import S3Place

BODY = random.Random(1).randbytes(100_000)
LARGE = b"x" * (PIECE + 1)
WRITES: dict[str, Callable[[CloudStorage], object]] = {
    "put": lambda place: place.put("heads/c", b"3") is not None,
    "create": lambda place: place.create("log/a/1", b"4"),
    "stream": lambda place: place.put_stream("blob/aa/y", [LARGE], len(LARGE)),
    "delete": lambda place: place.delete("heads/d"),
}
READS: dict[str, Callable[[CloudStorage], object]] = {
    "get": lambda place: (fetched := place.get("blob/aa/x", 1 << 20)) is not None and fetched.data == BODY,
    "range": lambda place: place.read_range("blob/aa/x", 1000, 2000) == BODY[1000:3000],
    "size": lambda place: place.size("blob/aa/x") == len(BODY),
    "list": lambda place: sorted(entry.key for entry in place.entries("heads/")) == ["heads/a", "heads/d"],
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries come at once, and few: what matters is what happens between them."""
    monkeypatch.setitem(cloud.RETRY, "max_retries", 2)
    quick = timedelta(milliseconds=1)
    monkeypatch.setitem(cloud.RETRY, "backoff", {"init_backoff": quick, "max_backoff": quick, "base": 2})


@pytest.fixture
def proxy(s3_store: S3Place) -> Iterator[FaultProxy]:
    with fault_proxy(s3_store.options["endpoint"]) as opened:
        yield opened


@pytest.fixture
def place(s3_store: S3Place, proxy: FaultProxy) -> CloudStorage:
    """A bucket with a little in it, reached through the proxy."""
    direct = s3_store.open()
    for key, data in {"blob/aa/x": BODY, "heads/a": b"1", "heads/d": b"2"}.items():
        direct.put(key, data)
    return s3_store.through(proxy.endpoint).open()


@pytest.mark.parametrize("fault", ["cut", "500", "503", "whole"])
def test_what_passes_is_tried_again_and_comes_out_right(place: CloudStorage, proxy: FaultProxy, fault: Fault) -> None:
    for read in READS.values():
        proxy.first(fault)
        assert read(place)
    for name, write in WRITES.items():
        proxy.first(fault)
        # Whoever creates an object and hears nothing is told at the second try that it is there.
        assert write(place) in ({False} if (name, fault) == ("create", "cut") else {True, None})
    assert len(proxy.happened) == len(READS) + len(WRITES)
    written = {key: place.get(key, 1 << 30) for key in ("heads/c", "log/a/1", "blob/aa/y", "heads/d")}
    assert [found and found.data for found in written.values()] == [b"3", b"4", LARGE, None]


@pytest.mark.parametrize("fault", ["cut body", "short"])
def test_half_an_answer_is_never_taken_for_the_whole(place: CloudStorage, proxy: FaultProxy, fault: Fault) -> None:
    for name, operation in (READS | WRITES).items():
        if (name, fault) == ("get", "short"):
            # Nothing in it says that it should be longer: only the hash in its name does, which the reader checks.
            continue
        proxy.first(fault)
        with contextlib.suppress(StorageError):
            assert operation(place) in {True, None}


@pytest.mark.parametrize("fault", ["cut", "500", "503"])
def test_what_lasts_is_told_in_one_line_without_keys(place: CloudStorage, proxy: FaultProxy, fault: Fault) -> None:
    for operation in (READS | WRITES).values():
        proxy.first(fault, 99)
        with pytest.raises(StorageError) as caught:
            operation(place)
        line = str(caught.value)
        assert "\n" not in line
        assert not any(word in line for word in ("testkey", "testsecret", "Signature", "Authorization"))


def test_ranges_that_are_answered_with_everything_are_cut_out_of_it(place: CloudStorage, proxy: FaultProxy) -> None:
    proxy.first("whole", 99)
    ranges = [(0, 10), (99_990, 10), (99_990, 99), (50_000, 1)]
    assert [place.read_range("blob/aa/x", *one) for one in ranges] == [BODY[at : at + length] for at, length in ranges]
    assert not place.has_ranges


def test_a_bucket_that_is_not_there_is_no_empty_one(s3_store: S3Place) -> None:
    gone = S3Place("s3://no-such-bucket/x", s3_store.options, s3_store.env).open()
    for act in (lambda: gone.get("hub.json", 9), lambda: list(gone.entries("")), lambda: gone.put("hub.json", b"x")):
        with pytest.raises(StorageError, match="is not there"):
            act()


def test_machines_agree_after_days_of_bad_network(s3_store: S3Place, proxy: FaultProxy, tmp_path: Path) -> None:
    dice = random.Random(1)
    through = s3_store.through(proxy.endpoint).open()
    with quick_folder(tmp_path) as base:
        pair = [Machine(base, name, base, s3_store) for name in "ab"]
        for machine in pair:
            machine.registry.db.execute("UPDATE remotes SET part = 4000")
        proxy.choose = lambda method, path: dice.choice(FAULTS) if dice.random() < 0.25 else None
        for number in range(2):
            for machine in pair:
                version = machine.add_lora(
                    f"{machine.home.name} {number}", seed=2 * number + (machine is pair[0]), rank=1
                )
                edits.edit(machine.registry, version, version, {"rating": str(number)})
                for _ in range(2):
                    with contextlib.suppress(HubError):
                        machine.sync(storage=through)
        assert len(proxy.happened) > 5
        proxy.choose = lambda method, path: None
        settle(pair, storage=through, deep=True)
        assert pair[0].state() == pair[1].state()
        sums = [{sha256_of(path) for path in machine.registry.models_folder.iterdir()} for machine in pair]
        assert sums[0] == sums[1]
        assert len(sums[0]) == 4
        for machine in pair:
            machine.registry.close()
