"""One contract for every place where a remote can lie: memory, a folder, a mock of S3 and a real S3 server."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hubman.sync.storages.folder import FolderStorage
from hubman.sync.storages.storage import PIECE, Storage, StorageError
from tests.support.memory_storage import MemoryStorage

PLACES = ("memory", "folder", "moto", pytest.param("ceph", marks=pytest.mark.s3real))
BUCKETS = PLACES[2:]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage()
    if request.param == "folder":
        return FolderStorage(tmp_path)
    storage: Storage = request.getfixturevalue({"moto": "s3_store", "ceph": "real_s3"}[request.param]).open()
    return storage


def keys(place: Storage, prefix: str = "", after: str = "") -> list[str]:
    return sorted(entry.key for entry in place.entries(prefix, after))


def content(place: Storage, key: str) -> bytes | None:
    fetched = place.get(key, 1 << 20)
    return None if fetched is None else fetched.data


def at_once(*acts: Callable[[], object]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_is_put_is_there_whole_at_once(place: Storage) -> None:
    place.put("heads/a", b"one")
    place.put("heads/a", b"two!")
    assert content(place, "heads/a") == b"two!"
    assert place.size("heads/a") == 4
    assert [(entry.key, entry.size) for entry in place.entries("heads/")] == [("heads/a", 4)]
    place.put("heads/empty", b"")
    assert (content(place, "heads/empty"), place.size("heads/empty")) == (b"", 0)


def test_what_is_not_there_is_told_from_a_failure(place: Storage) -> None:
    assert place.get("heads/none", 100) is None
    assert place.size("heads/none") is None
    assert keys(place, "heads/") == []
    place.delete("heads/none")
    with pytest.raises(StorageError):
        place.read_range("heads/none", 0, 1)


def test_an_object_longer_than_its_cap_is_not_read(place: Storage) -> None:
    place.put("heads/a", b"x" * 101)
    with pytest.raises(StorageError, match="longer than the 100"):
        place.get("heads/a", 100)


def test_ranges_end_where_the_object_ends(place: Storage) -> None:
    place.put("blob/aa/x", b"0123456789")
    wanted = [(0, 10), (3, 4), (5, 30), (9, 1), (10, 1), (30, 5), (4, 0)]
    assert [place.read_range("blob/aa/x", start, length) for start, length in wanted] == [
        b"0123456789", b"3456", b"56789", b"9", b"", b"", b"",
    ]  # fmt: skip
    place.put("blob/aa/empty", b"")
    assert place.read_range("blob/aa/empty", 0, 5) == b""


def test_create_never_writes_over_anything(place: Storage) -> None:
    assert place.create("log/a/1", b"first")
    assert not place.create("log/a/1", b"second")
    assert content(place, "log/a/1") == b"first"


def test_of_many_creators_exactly_one_wins(place: Storage) -> None:
    won: list[bytes] = []

    def create(body: bytes) -> None:
        if place.create("log/a/1", body):
            won.append(body)

    at_once(*[lambda number=number: create(b"%d" % number) for number in range(8)])
    assert [content(place, "log/a/1")] == won


def test_a_reader_sees_one_content_or_the_other_while_it_is_replaced(place: Storage) -> None:
    bodies = {b"a" * 200_000, b"b" * 200_000}
    place.put("heads/a", next(iter(bodies)))
    seen: list[bytes | None] = []
    at_once(
        lambda: [place.put("heads/a", body) for body in (*bodies, *bodies)],
        lambda: seen.extend(content(place, "heads/a") for _ in range(8)),
    )
    assert len(seen) == 8
    assert set(seen) <= bodies


def test_writers_at_once_keep_their_own_bytes(place: Storage) -> None:
    bodies = {f"blob/{number:02d}/x": random.Random(number).randbytes(50_000) for number in range(8)}
    at_once(*[lambda key=key: place.put_stream(key, [bodies[key]], 50_000) for key in bodies])
    assert {key: content(place, key) for key in keys(place)} == bodies


def test_a_listing_has_every_key_behind_after(place: Storage) -> None:
    for key in ("log/a/1", "log/a/2", "log/ab/1", "log/b/1", "heads/a", "hub.json"):
        place.put(key, b"12345")
    assert keys(place) == ["heads/a", "hub.json", "log/a/1", "log/a/2", "log/ab/1", "log/b/1"]
    assert keys(place, "log/a/") == ["log/a/1", "log/a/2"]
    assert keys(place, "log/a/", "log/a/1") == ["log/a/2"]
    assert keys(place, "log/a/", "log/a/1-g") == ["log/a/2"]
    assert keys(place, "log/", "log/a/2") == ["log/ab/1", "log/b/1"]
    assert {entry.size for entry in place.entries("log/")} == {5}


@pytest.mark.parametrize("size", [0, 5, PIECE + 5, 2 * PIECE])
def test_a_stream_arrives_as_one_object(place: Storage, size: int) -> None:
    data = os.urandom(1000) * (size // 1000 + 1)
    place.put_stream("blob/aa/x", iter([data[: size // 2], data[size // 2 : size]]), size)
    assert place.size("blob/aa/x") == size
    for start in {0, max(PIECE - 2, 0), size - 3} if size else set():
        assert place.read_range("blob/aa/x", start, 3) == data[start : min(start + 3, size)]


@pytest.mark.parametrize("size", [4, PIECE + 4])
def test_a_stream_that_breaks_leaves_nothing(place: Storage, size: int) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * (size - 1)
        raise KeyError("broken")

    with pytest.raises(KeyError):
        place.put_stream("blob/aa/x", pieces(), size)
    assert keys(place) == []


@pytest.mark.parametrize("size", [4, PIECE + 4])
@pytest.mark.parametrize("more", [-1, 1])
def test_a_stream_of_another_length_leaves_what_was_there(place: Storage, size: int, more: int) -> None:
    place.put("blob/aa/x", b"old")
    with pytest.raises(StorageError, match="expected"):
        place.put_stream("blob/aa/x", [b"x" * (size + more)], size)
    assert content(place, "blob/aa/x") == b"old"


def test_a_deleted_object_is_gone(place: Storage) -> None:
    place.put("heads/a", b"x")
    place.delete("heads/a")
    assert place.get("heads/a", 10) is None
    assert keys(place) == []


def test_names_that_no_remote_has_are_refused(place: Storage) -> None:
    operations: list[Callable[[str], object]] = [
        lambda key: place.put(key, b""),
        lambda key: place.create(key, b""),
        lambda key: place.get(key, 1),
        place.size,
        lambda key: place.read_range(key, 0, 1),
        lambda key: place.put_stream(key, [], 0),
        place.delete,
    ]
    for key in (
        "",
        "../x",
        "/etc/x",
        "a//b",
        "a/../b",
        ".hub",
        "a/.b",
        "A",
        "heads/\u00e9",
        "a\0b",
        "a/",
        "a:b",
        "a#1",
    ):
        for act in operations:
            with pytest.raises(ValueError, match="no key of a remote"):
                act(key)
    assert keys(place) == []


@pytest.mark.parametrize("place", BUCKETS, indirect=True)
def test_a_bucket_tells_changed_objects_by_their_tags(place: Storage) -> None:
    tag = place.put("heads/a", b"one")
    fetched = place.get("heads/a", 10)
    assert fetched is not None
    assert [fetched.tag] == [tag] == [entry.tag for entry in place.entries("heads/")]
    assert place.put("heads/a", b"two") != tag
