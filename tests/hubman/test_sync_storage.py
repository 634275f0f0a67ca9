"""What a folder has to withstand, and the addresses and keys of buckets. What both keep: test_sync_contract.py."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from hubman.sync.storages import cloud
from hubman.sync.storages.cloud_address import check_address
from hubman.sync.storages.folder import FolderStorage
from hubman.sync.storages.storage import RefusedError, Storage, StorageError, open_storage
from registry.errors import UsageError


def keys(place: Storage, prefix: str = "", after: str = "") -> list[str]:
    return sorted(entry.key for entry in place.entries(prefix, after))


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


class _Refusing(BaseHTTPRequestHandler):
    status, code = 403, "SignatureDoesNotMatch"

    def do_GET(self) -> None:
        body = f'<?xml version="1.0"?><Error><Code>{self.code}</Code></Error>'.encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("status", "code", "kind", "told"),
    [
        (403, "SignatureDoesNotMatch", RefusedError, "was refused (403 Forbidden, SignatureDoesNotMatch)"),
        (400, "InvalidArgument", StorageError, "(400 Bad Request, InvalidArgument): check --endpoint"),
    ],
)
def test_what_a_store_answers_to_a_listing_is_told(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, kind: type[StorageError], told: str
) -> None:
    pytest.importorskip("obstore")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "not-a-real-key")
    handler = type("Handler", (_Refusing,), {"status": status, "code": code})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        place = open_storage("cloud", "s3://bucket/prefix", {"endpoint": endpoint, "region": "us-east-1"})
        with pytest.raises(kind) as caught:
            list(place.entries("heads/"))
        server.shutdown()
    assert told in str(caught.value)
