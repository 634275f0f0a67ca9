"""How fast a file goes out, beside curl with the same parts: python benchmarks/publish_upload.py.

Both send parts of 25 MiB, three at a time, to the same storage in a process of its own, and have it put them together. The
uploading process is one of its own; what it peaks at in memory is its own too. curl is given parts that were cut before.
"""

from __future__ import annotations

import argparse
import hashlib
import json
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

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.bars import AT_MOST, TIMES, Measure, report
from benchmarks.civitai_download import make
from hubman.civitai.uploads import PARALLEL

_PART = 25 << 20
_SITE = """
import json, sys
from pathlib import Path
from hubman.sandbox import Sandbox
with Sandbox(Path(sys.argv[1])) as sandbox:
    print(json.dumps({"site": sandbox.url, "key": sandbox.token()}), flush=True)
    sys.stdin.read()
"""
_OURS = """
import json, resource, sys, time
from pathlib import Path
from hubman.civitai.client import Civitai
site, key, path, sha256 = sys.argv[1:]
began = time.perf_counter()
with Civitai(site, key) as client:
    client.upload_file(Path(path), name="large.safetensors", sha256=sha256)
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


@contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _SITE, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parent.parent,
    ) as process:  # fmt: skip
        yield json.loads(process.stdout.readline() if process.stdout else "{}")
        process.communicate()


def ours(site: dict[str, str], file: Path, sha256: str) -> tuple[float, float]:
    """Seconds, in which the file is hashed too, and MB at the peak."""
    done = subprocess.run(
        [sys.executable, "-c", _OURS, site["site"], site["key"], file, sha256], check=True, capture_output=True, text=True,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    found = json.loads(done.stdout)
    return found["seconds"], found["peak"]


def bare(site: dict[str, str], size: int, parts: list[Path]) -> float:
    """Seconds that curl takes with the parts, and the site with putting them together."""
    with httpx.Client(base_url=site["site"], headers={"Authorization": f"Bearer {site['key']}"}, timeout=120) as http:
        began = perf_counter()
        body = {"filename": "bare.safetensors", "type": "model", "size": size}
        start: dict[str, Any] = http.post("/api/upload", json=body).json()
        command = ["curl", "-sf", "--parallel", "--parallel-max", str(PARALLEL)]
        for part, offered in zip(parts, start["urls"], strict=True):
            command += [
                "-T",
                str(part),
                "-D",
                str(part.with_suffix(".headers")),
                "-o",
                "/dev/null",
                offered["url"],
                "--next",
                "-sf",
            ]
        subprocess.run(command[:-2], check=True, stderr=subprocess.DEVNULL)
        etags = [_etag(part.with_suffix(".headers")) for part in parts]
        listed = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(etags, 1)]
        identity = {key: start[key] for key in ("bucket", "key", "uploadId", "backend")}
        http.post("/api/upload/complete", json={**identity, "type": "model", "parts": listed}).raise_for_status()
        return perf_counter() - began


def _etag(headers: Path) -> str:
    lines = headers.read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.lower().startswith("etag:"))


def cut(file: Path, folder: Path) -> list[Path]:
    """The file in parts of 25 MiB."""
    parts: list[Path] = []
    with file.open("rb") as source:
        while block := source.read(_PART):
            parts.append(folder / f"part{len(parts)}.bin")
            parts[-1].write_bytes(block)
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files go; by default a temporary folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        # The file, its parts, and what the site holds of one upload.
        size = min(given.size, (shutil.disk_usage(folder).free >> 20) // 5) << 20
        file = folder / "large.safetensors"
        make(file, size)
        size, parts = file.stat().st_size, cut(file, folder)
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        times, references, peaks = [], [], []
        with served(folder / "site") as site:
            for _ in range(given.rounds):
                seconds, peak = ours(site, file, sha256)
                times.append(seconds)
                peaks.append(peak)
                references.append(bare(site, size, parts))
                for held in (folder / "site" / "blobs").iterdir():
                    held.unlink()
    note = f"{size >> 20} MiB, {PARALLEL} parts at a time"
    bars = [
        Measure("upload", median(times), median(references), "s", TIMES, 1.15, note),
        Measure("peak memory", max(peaks), 150, "MB", AT_MOST, 150),
    ]
    report(bars)


if __name__ == "__main__":
    main()
