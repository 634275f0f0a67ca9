"""What syncing metadata costs: nothing changed, one rating of 50,000, the first send, and a new machine that joins.

    python benchmarks/sync_metadata.py [--models 50000] [--endpoint http://127.0.0.1:7480] [--folder DIR]

The bucket is one of ``--endpoint`` (``scripts/s3-ceph.sh``), else of moto's server. Side files of 2 KB, one a model, are
what rsync and rclone move; they run in the same run where they are on PATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

import pytest

from benchmarks.bars import AT_MOST, Measure, report
from hubman.sync import remotes
from hubman.sync.policies import policy
from hubman.sync.run import sync
from hubman.sync.storages.storage import Entry, Fetched, Storage, open_storage
from registry import changes, edits, ids, library, projection, timestamps
from registry.database import Registry
from tests.support import s3
from tests.support.library_factory import NOW, TAGS, WORDS

_POLICY = policy.Policy(weights="none", previews="none", upload="no")
_SIDE_FILE = 2_000


def fill(registry: Registry, count: int) -> list[str]:
    """``count`` models whose weights lie elsewhere: a file, five fields and two tags each."""
    made: list[changes.Change] = []
    versions = []
    with registry.transaction() as db:
        for number in range(count):
            sha256 = f"{int.from_bytes(os.urandom(32), 'big'):064x}"
            version = ids.item_id(sha256)
            name = f"{WORDS[number % len(WORDS)]} {WORDS[number * 7 % 19]} {number}"
            facts = {
                "version_id": version, "name": f"{name.lower().replace(' ', '_')}.safetensors", "autov2": sha256[:10],
                "size": 5_000_000 + number * 997, "format": "safetensors", "network_type": "lora", "rank": 16,
                "architecture": "sdxl", "added_at": timestamps.of(NOW),
            }  # fmt: skip
            made.append(["file", sha256, facts])
            said = (("name", name), ("rating", number % 6), ("favourite", number % 9 == 0), ("strength", 0.8))
            made += [changes.set_field(db, version, "user", name, value) for name, value in said]
            made.append(changes.set_field(db, version, "sidecar", "base_model", "SDXL 1.0"))
            made += [changes.add_to_set(db, version, "tags", TAGS[(number + step) % len(TAGS)]) for step in (0, 3)]
            versions.append(version)
        touched, _ = changes.apply_all(db, made)
        projection.rebuild(db, touched)
    return versions


@dataclass
class Counted:
    """A storage that counts requests and bytes, both ways."""

    inner: Storage
    requests: int = 0
    up: int = 0
    down: int = 0
    concurrency: int = field(default=8)

    def get(self, key: str, cap: int) -> Fetched | None:
        self.requests += 1
        found = self.inner.get(key, cap)
        self.down += len(found.data) if found else 0
        return found

    def read_range(self, key: str, start: int, length: int) -> bytes | memoryview:
        self.requests += 1
        data = self.inner.read_range(key, start, length)
        self.down += len(data)
        return data

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        self.requests += 1
        return self.inner.entries(prefix, after)

    def put(self, key: str, data: bytes) -> str | None:
        self.requests += 1
        self.up += len(data)
        return self.inner.put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self.requests += 1
        self.up += len(data)
        return self.inner.create(key, data)

    def size(self, key: str) -> int | None:
        self.requests += 1
        return self.inner.size(key)

    def put_stream(self, key: str, pieces: Iterable[bytes], size: int) -> None:
        self.requests += 1
        self.up += size
        self.inner.put_stream(key, pieces, size)

    def delete(self, key: str) -> None:
        self.requests += 1
        self.inner.delete(key)

    def url(self, key: str, seconds: int) -> str | None:
        return self.inner.url(key, seconds)


class Place:
    """A remote that several registries use: a folder, or a bucket."""

    def __init__(self, location: str, options: dict[str, str]) -> None:
        self.location, self.options = location, options
        self.kind = "cloud" if "://" in location else "folder"

    def storage(self) -> Counted:
        return Counted(open_storage(self.kind, self.location, self.options))

    def join(self, registry: Registry) -> None:
        policy.set_policy(registry, _POLICY)
        remotes.add(registry, "r", self.location, options=self.options)

    def sync(self, registry: Registry) -> tuple[float, Counted]:
        storage = self.storage()
        begin = perf_counter()
        sync(registry, "r", storage=storage)
        return perf_counter() - begin, storage


def measured(place: Place, base: Path, count: int, note: str) -> tuple[list[Measure], float]:
    """All bars on one place, and the seconds of a sync without anything to do."""
    with Registry(base / "first") as first, Registry(base / "second") as second:
        models = fill(first, count)
        begin = perf_counter()
        place.join(first)
        place.sync(first)
        sent = perf_counter() - begin
        begin = perf_counter()
        place.join(second)
        _, joined = place.sync(second)
        listed = len(library.list_models(second, "rating:>=3"))
        join = perf_counter() - begin
        if not 0 < listed < count:
            sys.exit(f"{listed} of {count} models are listed")
        place.sync(first)
        still = [place.sync(first) for _ in range(15)]
        edits.edit(first, models[0], models[0], {"rating": "2"})
        _, up = place.sync(first)
        _, down = place.sync(second)
        idle = median(seconds for seconds, _ in still)
    is_bar = count == 50_000
    bars = [
        Measure(f"first send, {note}", sent, 0, "s", AT_MOST, 4 if is_bar else None),
        Measure(f"join until listed, {note}", join, 0, "s", AT_MOST, 8 if is_bar else None),
        Measure(f"join, bytes down, {note}", joined.down / 1e6, 0, "MB", AT_MOST, 8 if is_bar else None),
        Measure(f"one rating up, requests, {note}", up.requests, 0, "", AT_MOST, 4),
        Measure(f"one rating up, bytes, {note}", up.up / 1000, 0, "kB", AT_MOST, 4),
        Measure(f"one rating down, requests, {note}", down.requests, 0, "", AT_MOST, 3),
        Measure(f"nothing changed, requests, {note}", still[-1][1].requests, 0, "", AT_MOST, 3),
    ]
    return bars, idle


@contextmanager
def bucket(endpoint: str | None) -> Iterator[Place]:
    """A new bucket at ``endpoint``, or in a moto server of its own."""
    environment = pytest.MonkeyPatch()
    with ExitStack() as stack:
        stack.callback(environment.undo)
        address = endpoint or stack.enter_context(contextmanager(s3.start_moto)())
        place = s3.new_place(address, environment)
        yield Place(place.url, place.options)


def side_files(folder: Path, count: int) -> Path:
    made = folder / "side"
    for number in range(count):
        path = made / f"{number // 1000:02}" / f"{number}.json"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * _SIDE_FILE)
    return made


def timed(command: list[str]) -> float:
    begin = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - begin


def references(base: Path, count: int) -> dict[str, float]:
    """Seconds of file tools that look through side files without a change in them."""
    tools: dict[str, Callable[[Path, Path], list[str]]] = {
        "rsync": lambda source, aim: ["rsync", "-a", f"{source}/", str(aim)],
        "rclone": lambda source, aim: ["rclone", "sync", str(source), str(aim)],
    }
    found: dict[str, float] = {}
    source = side_files(base, count)
    for name, command in tools.items():
        if shutil.which(name) is None:
            print(f"{name} is not on PATH: no reference of it")
            continue
        aim = base / name
        timed(command(source, aim))
        found[name] = min(timed(command(source, aim)) for _ in range(3))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=int, default=50_000)
    parser.add_argument("--endpoint", default=os.environ.get(s3.REAL), help="an S3 server that knows testkey")
    parser.add_argument("--folder", type=Path, help="where to work; by default a temporary folder")
    given = parser.parse_args()
    bars: list[Measure] = []
    idle: list[float] = []
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        base = Path(name)
        reference = min(references(base, min(given.models, 10_000)).values(), default=0.0)
        for count in (1_000, given.models):
            (base / str(count) / "remote").mkdir(parents=True)
            made, seconds = measured(Place(str(base / str(count) / "remote"), {}), base / str(count), count, "folder")
            idle.append(seconds)
        bars += made
        bars.append(Measure("nothing changed, folder", idle[1] * 1000, reference * 1000, "ms", AT_MOST, 20))
        bars.append(Measure("nothing changed, 50,000 to 1,000", idle[1] / idle[0], 1, "x", AT_MOST, 1.1))
        with bucket(given.endpoint) as place:
            made, _ = measured(place, base / "s3", given.models, "S3")
            bars += made
    report(bars)


if __name__ == "__main__":
    main()
