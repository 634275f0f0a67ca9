"""Several machines that sync through one folder, and a remote that counts, breaks or dies on demand."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from hubman.sync import remotes
from hubman.sync.run import SyncResult, sync
from hubman.sync.secrecy.joining import NO_SECRECY, Secrecy
from hubman.sync.storages.folder import FolderStorage
from hubman.sync.storages.storage import Entry, Fetched, Storage, open_storage
from registry import blobs, changes, clock, ids, library, places, projection
from registry.database import Registry
from registry.hashing import hash_file
from tests.support.model_files import small_lora, write_model
from tests.support.s3 import S3Place

Result = TypeVar("Result")


@contextlib.contextmanager
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the system has one: syncing to disk at every commit is right, and slow on a busy one."""
    memory = Path("/dev/shm")  # noqa: S108
    if not (os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 << 30):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="hubman-", dir=memory) as folder:
        yield Path(folder)


class Machine:
    """A registry with a folder of models, joined to the remote in the folder ``remote``, or in a bucket instead."""

    secrecy: Secrecy = NO_SECRECY
    """Of every machine that is made while it is set (:func:`tests.support.sealing.sealed`)."""

    def __init__(self, base: Path, name: str, remote: Path, bucket: S3Place | None = None) -> None:
        self.home = base / name
        self.remote = remote
        self.bucket = bucket
        self.registry = Registry(self.home)
        self.join()

    def join(self) -> None:
        """Add the remote, as ``r``."""
        if self.bucket:
            remotes.add(self.registry, "r", self.bucket.url, options=self.bucket.options, secrecy=self.secrecy)
        else:
            self.remote.mkdir(exist_ok=True)
            remotes.add(self.registry, "r", str(self.remote), secrecy=self.secrecy)

    def sync(self, **options: object) -> SyncResult:
        return sync(self.registry, "r", **options)  # type: ignore[arg-type]

    def restart(self) -> None:
        self.registry.close()
        self.registry = Registry(self.home)

    def place(self) -> Storage:
        """Where the remote lies."""
        remote = remotes.find(self.registry)
        return open_storage(remote.kind, remote.location, remote.options)

    @property
    def device(self) -> str:
        return clock.device_id(self.registry.db)

    def add_lora(self, name: str, *, seed: int = 0, rank: int = 4) -> str:
        """A real file in this machine's models folder, indexed; returns the version's id."""
        path = write_model(self.registry.models_folder / f"{name}.safetensors", small_lora(rank=rank))
        data = path.read_bytes()
        header = 8 + int.from_bytes(data[:8], "little")
        path.write_bytes(data[:header] + random.Random(seed).randbytes(len(data) - header))
        return index(self.registry, path)

    def add_picture(self, version: str, content: bytes) -> str:
        sha256 = blobs.store_bytes(self.registry, content)
        body = {
            "version_id": version, "sha256": sha256, "name": "p.png", "width": 1, "height": 1,
            "added_at": "2026-01-01T00:00:00.000Z",
        }  # fmt: skip
        with self.registry.transaction() as db:
            made: list[changes.Change] = [["rec", "preview", f"{version}/{sha256}", body]]
            made.append(changes.add_to_set(db, version, "previews", sha256))
            projection.rebuild(db, changes.record(db, made))
        return sha256

    def shown(self) -> list[object]:
        """Everything that lists and details show of every model, apart from where files lie."""
        details = [library.show(self.registry, model) for model in sorted(library.model_ids(self.registry, ""))]
        trash = sorted(library.model_ids(self.registry, "is:trash"))
        rows = [msgspec.structs.replace(row, where="nowhere") for row in library.list_models(self.registry)]
        return [rows, trash, [_placeless(detail) for detail in details]]

    def state(self) -> dict[str, list[tuple[object, ...]]]:
        """All state that syncs, row by row."""
        return {
            table: sorted((tuple(row) for row in self.registry.db.execute(f"SELECT * FROM {table}")), key=repr)  # noqa: S608
            for table in (
                "facts",
                "rivals",
                "set_members",
                "texts",
                "counters",
                "files",
                "holdings",
                "records",
                "removed_dots",
            )
        }


def _placeless(detail: object) -> str:
    body = msgspec.to_builtins(detail)
    for version in body["versions"]:
        for file in version["files"]:
            del file["places"]
    return msgspec.json.encode(body, order="sorted").decode()


def index(registry: Registry, path: Path) -> str:
    """What a scan notes of one file, without asking what it is."""
    hashes = hash_file(path)
    version = ids.item_id(hashes.sha256)
    facts = {
        "version_id": version, "name": path.name, "size": hashes.size, "autov2": hashes.autov2, "autov3": hashes.autov3,
        "crc32": hashes.crc32, "blake3": hashes.blake3, "format": "safetensors", "network_type": "lora", "rank": 4,
        "added_at": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    with registry.transaction() as db:
        seen = places.seen_from(str(path), path.stat())
        places.put(db, seen, root=str(path.parent), sha256=hashes.sha256, problem=None, at="2026-01-01T00:00:00.000Z")
        made: list[changes.Change] = [["file", hashes.sha256, facts]]
        made.append(["have", clock.device_id(db), hashes.sha256, "present", clock.tick(db)])
        projection.rebuild(db, changes.record(db, made))
    return version


def settle(machines: Iterable[Machine], rounds: int = 3, **options: object) -> None:
    """Sync everybody often enough that everything has gone everywhere."""
    everyone = list(machines)
    for _ in range(rounds):
        for machine in everyone:
            machine.sync(**options)


class WatchedStorage:
    """A remote, mostly in a folder, that counts its operations, calls ``before`` and ``after`` around each, and lists its writes."""

    concurrency = 1

    def __init__(
        self,
        root: Path | Storage,
        *,
        before: Callable[[str, str], None] = lambda operation, key: None,
        after: Callable[[str, str], None] = lambda operation, key: None,
    ) -> None:
        self._inner: Storage = FolderStorage(root) if isinstance(root, Path) else root
        self._before, self._after = before, after
        self.counts: Counter[str] = Counter()
        self.writes: list[str] = []

    def get(self, key: str, cap: int) -> Fetched | None:
        return self._watched("get", key, lambda: self._inner.get(key, cap))

    def read_range(self, key: str, start: int, length: int) -> bytes | memoryview:
        return self._watched("read_range", key, lambda: self._inner.read_range(key, start, length))

    def size(self, key: str) -> int | None:
        return self._watched("size", key, lambda: self._inner.size(key))

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        return self._watched("entries", prefix, lambda: self._inner.entries(prefix, after))

    def put(self, key: str, data: bytes) -> str | None:
        return self._watched("put", key, lambda: self._inner.put(key, data))

    def create(self, key: str, data: bytes) -> bool:
        return self._watched("create", key, lambda: self._inner.create(key, data))

    def put_stream(self, key: str, pieces: Iterable[bytes], size: int) -> None:
        return self._watched("put_stream", key, lambda: self._inner.put_stream(key, pieces, size))

    def delete(self, key: str) -> None:
        return self._watched("delete", key, lambda: self._inner.delete(key))

    def url(self, key: str, seconds: int) -> str | None:
        return self._inner.url(key, seconds)

    def _watched(self, operation: str, key: str, act: Callable[[], Result]) -> Result:
        self._before(operation, key)
        self.counts[operation] += 1
        result = act()
        if operation in {"put", "create", "put_stream"}:
            self.writes.append(key)
        self._after(operation, key)
        return result


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
