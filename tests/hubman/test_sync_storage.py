"""The same contract for every place where a remote can lie; and what only a folder has to withstand."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.sync import cloud
from hubman.sync.cloud import CloudStorage
from hubman.sync.cloud_address import check_address
from hubman.sync.folder import FolderStorage
from hubman.sync.storage import PIECE, Storage, StorageError, open_storage
from registry.errors import UsageError


@pytest.fixture(params=["folder", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return FolderStorage(tmp_path)
    store = pytest.importorskip("obstore.store")
    return CloudStorage(store.MemoryStore(), "s3://test")


def keys(place: Storage, prefix: str = "", after: str = "") -> list[str]:
    return sorted(entry.key for entry in place.entries(prefix, after))


def test_what_is_put_is_there_whole(place: Storage) -> None:
    place.put("heads/a", b"one")
    place.put("heads/a", b"two!")
    fetched = place.get("heads/a", 100)
    assert fetched is not None
    assert fetched.data == b"two!"
    assert place.size("heads/a") == 4
    assert place.read_range("heads/a", 1, 2) == b"wo"


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


def test_create_never_writes_over_anything(place: Storage) -> None:
    assert place.create("log/a/1", b"first")
    assert not place.create("log/a/1", b"second")
    fetched = place.get("log/a/1", 100)
    assert fetched is not None
    assert fetched.data == b"first"


def test_of_many_creators_exactly_one_wins(place: Storage) -> None:
    won: list[int] = []

    def create(number: int) -> None:
        if place.create("log/a/1", b"%d" % number):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fetched = place.get("log/a/1", 100)
    assert fetched is not None
    assert [fetched.data] == [b"%d" % number for number in won]


def test_a_listing_has_every_key_behind_after(place: Storage) -> None:
    for key in ("log/a/1", "log/a/2", "log/b/1", "heads/a", "hub.json"):
        place.put(key, b"12345")
    assert keys(place) == ["heads/a", "hub.json", "log/a/1", "log/a/2", "log/b/1"]
    assert keys(place, "log/a/") == ["log/a/1", "log/a/2"]
    assert keys(place, "log/a/", "log/a/1") == ["log/a/2"]
    assert {entry.size for entry in place.entries("log/")} == {5}


@pytest.mark.parametrize("size", [0, 5, PIECE + 5])
def test_a_stream_arrives_as_one_object(place: Storage, size: int) -> None:
    data = os.urandom(1000) * (size // 1000 + 1)
    place.put_stream("blob/aa/x", iter([data[: size // 2], data[size // 2 : size]]), size)
    assert place.size("blob/aa/x") == size
    if size:
        assert place.read_range("blob/aa/x", size - 3, 3) == data[size - 3 : size]


@pytest.mark.parametrize("size", [4, PIECE + 4])
def test_a_stream_that_breaks_leaves_nothing(place: Storage, size: int) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * (size - 1)
        raise KeyError("broken")

    with pytest.raises(KeyError):
        place.put_stream("blob/aa/x", pieces(), size)
    assert keys(place) == []


def test_a_deleted_object_is_gone(place: Storage) -> None:
    place.put("heads/a", b"x")
    place.delete("heads/a")
    assert place.get("heads/a", 10) is None


def test_a_store_tells_changed_objects_by_their_tags() -> None:
    store = pytest.importorskip("obstore.store")
    place = CloudStorage(store.MemoryStore(), "s3://test")
    tag = place.put("heads/a", b"one")
    assert [entry.tag for entry in place.entries("heads/")] == [tag]
    assert place.put("heads/a", b"two") != tag


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a//b", "a/../b", ".hub", "a/.b", "A", "a\0b", ""])
def test_a_folder_takes_no_key_that_leaves_it(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        FolderStorage(tmp_path).get(key, 10)


def test_a_folder_reads_no_links_pipes_or_folders(tmp_path: Path) -> None:
    place = FolderStorage(tmp_path / "remote")
    (tmp_path / "remote" / "heads").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x").write_text("secret")
    heads = tmp_path / "remote" / "heads"
    (heads / "link").symlink_to(tmp_path / "secret" / "x")
    os.mkfifo(heads / "pipe")
    (heads / "folder").mkdir()
    (tmp_path / "remote" / "blob").symlink_to(tmp_path / "secret")
    for key in ("heads/link", "heads/pipe", "heads/folder", "blob/x"):
        with pytest.raises(StorageError):
            place.get(key, 100)
    with pytest.raises(StorageError):
        place.put("blob/y", b"x")
    assert [path.name for path in (tmp_path / "secret").iterdir()] == ["x"]
    assert keys(place) == []


def test_a_folder_replaces_a_planted_link_instead_of_following_it(tmp_path: Path) -> None:
    place = FolderStorage(tmp_path)
    (tmp_path / "heads").mkdir()
    (tmp_path / "target").write_text("mine")
    (tmp_path / "heads" / "a").symlink_to(tmp_path / "target")
    place.put("heads/a", b"head")
    assert (tmp_path / "target").read_text() == "mine"
    assert not place.create("heads/a", b"other")


def test_a_folder_syncs_file_then_renames_then_syncs_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real_sync, real_rename = os.fsync, os.rename

    def fsync(handle: int) -> None:
        calls.append("folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "file")
        real_sync(handle)

    def rename(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        calls.append("rename")
        real_rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    place = FolderStorage(tmp_path)
    place.put("heads/a", b"x")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    place.put("heads/a", b"y")
    assert calls == ["file", "rename", "folder"]


def test_a_folder_without_hard_links_still_creates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    place = FolderStorage(tmp_path)
    assert place.create("log/a/1", b"first")
    assert not place.create("log/a/1", b"second")
    assert keys(place) == ["log/a/1"]


def test_only_old_leftovers_of_our_own_are_removed(tmp_path: Path) -> None:
    place = FolderStorage(tmp_path)
    place.put("blob/ab/cd", b"x")
    old, new, other = (tmp_path / "blob" / "ab" / name for name in (".hub-1.tmp", ".hub-2.tmp", ".other.tmp"))
    for path in (old, new, other):
        path.write_bytes(b"half")
    for path in (old, other, tmp_path / "blob" / "ab" / "cd"):
        os.utime(path, (0, 0))
    place.remove_leftovers()
    assert sorted(path.name for path in old.parent.iterdir()) == [".hub-2.tmp", ".other.tmp", "cd"]


def test_a_missing_folder_is_a_failure_and_not_emptiness(tmp_path: Path) -> None:
    place = FolderStorage(tmp_path / "unplugged")
    for act in (lambda: place.get("hub.json", 10), lambda: keys(place), lambda: place.size("hub.json")):
        with pytest.raises(StorageError, match="is not there"):
            act()


@pytest.mark.parametrize("url", ["ftp://x/y", "s3://", "s3://key:secret@bucket"])
def test_an_address_that_names_no_bucket_or_holds_a_key_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_address(url, {})
    assert "secret" not in str(caught.value).replace("AWS_SECRET_ACCESS_KEY", "")


def test_a_bucket_that_cannot_be_reached_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    monkeypatch.setitem(cloud.RETRY, "max_retries", 0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "not-a-real-key")
    place = open_storage("cloud", "s3://bucket/prefix", {"endpoint": "http://127.0.0.1:9", "region": "us-east-1"})
    with pytest.raises(StorageError) as caught:
        place.get("hub.json", 10)
    assert "\n" not in str(caught.value)
    assert "not-a-real-key" not in str(caught.value)
