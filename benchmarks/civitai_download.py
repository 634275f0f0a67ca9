"""How fast a file arrives, hash included, beside curl and a bare hashlib pass: python benchmarks/civitai_download.py.

The file comes from the sandbox, which sends it by ``sendfile``: serving is not what limits either side. The downloading
process is one of its own; what it peaks at in memory is its own too. Flushing the file to the disk goes on behind the
time that is measured, as it does for curl; how long it takes is told beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.bars import AT_MOST, TIMES, Measure, report

_OURS = """
import json, resource, sys, time
from pathlib import Path
from hubman.civitai.client import Civitai
from hubman.civitai.downloads import Wish
from hubman.civitai.reading import download_url
site, version, sha256, size, dest = sys.argv[1:]
began = time.perf_counter()
with Civitai(site) as client:
    wish = Wish(url=download_url(int(version)), dest=Path(dest), sha256=sha256.lower(), size=int(size))
    with client.downloading(wish, lambda progress: None):
        whole = time.perf_counter() - began
flushed = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"whole": whole, "flushed": flushed, "peak": peak}))
"""


def make(path: Path, size: int) -> None:
    """A file of ``size`` bytes that reads as safetensors and does not compress."""
    header = json.dumps({"t": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    piece = os.urandom(1 << 20)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for start in range(0, size, len(piece)):
            file.write(piece[: size - start])


@contextmanager
def served(folder: Path, size: int, *options: str) -> Iterator[dict[str, Any]]:
    """A sandbox with a file of ``size`` bytes."""
    source = folder / "large.safetensors"
    make(source, size)
    length = source.stat().st_size
    script = Path(__file__).with_name("sandbox_process.py")
    with subprocess.Popen(
        [sys.executable, script, source, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        told = process.stdout.readline() if process.stdout else ""
        yield {**json.loads(told), "size": length}
        process.communicate()


def bare(site: dict[str, Any], dest: Path) -> float:
    """Seconds that curl takes, and then hashlib."""
    began = perf_counter()
    subprocess.run(["curl", "-sfL", "-o", dest, f"{site['site']}/api/download/models/{site['version']}"], check=True)
    with dest.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    seconds = perf_counter() - began
    if digest != site["sha256"].lower():
        sys.exit("curl brought other bytes")
    dest.unlink()
    return seconds


def ours(site: dict[str, Any], dest: Path) -> dict[str, float]:
    """Seconds until the file is verified in place, until it is flushed, and MB at the peak."""
    arguments = [site["site"], str(site["version"]), site["sha256"], str(site["size"]), str(dest)]
    done = subprocess.run([sys.executable, "-c", _OURS, *arguments], check=True, capture_output=True, text=True)
    dest.unlink()
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compared(site: dict[str, Any], folder: Path, rounds: int) -> tuple[float, float, float, float]:
    """Medians of ours, of the bare way, of the flushed file, and the highest peak; one after the other, in turn."""
    pairs = [(ours(site, folder / "ours.safetensors"), bare(site, folder / "bare.safetensors")) for _ in range(rounds)]
    found = [pair[0] for pair in pairs]
    return (
        median(one["whole"] for one in found), median(pair[1] for pair in pairs), median(one["flushed"] for one in found),
        max(one["peak"] for one in found),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048, help="MiB of the file")
    parser.add_argument("--slow-size", type=int, default=256, help="MiB of the file for the slow connections")
    parser.add_argument("--rate", type=float, default=25.0, help="MB a second of a slow connection")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files go; by default a temporary folder")
    given = parser.parse_args()
    bars = []
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        # The source, the sandbox's copy and one download at a time.
        size = min(given.size, (shutil.disk_usage(folder).free >> 20) // 4)
        with served(folder, size << 20) as site:
            whole, reference, flushed, peak = compared(site, folder, given.rounds)
        note = f"{size} MiB; {flushed:.2f} s with the disk flushed"
        bars.append(Measure("download and hash", whole, reference, "s", TIMES, 1.10, note))
        bars.append(Measure("peak memory", peak, 80, "MB", AT_MOST, 80))
        slow = ("--rate", str(given.rate * 1e6), "--latency", "20")
        with served(folder, given.slow_size << 20, *slow) as site:
            whole, reference, _flushed, peak = compared(site, folder, 1)
        note = f"{given.slow_size} MiB at {given.rate:g} MB/s a connection, 20 ms"
        bars.append(Measure("by 4 ranges", whole, reference, "s", TIMES, 1.0, note))
        bars.append(Measure("peak memory by 4 ranges", peak, 80, "MB", AT_MOST, 80))
    report(bars)


if __name__ == "__main__":
    main()
