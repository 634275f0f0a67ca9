"""Requests that ``enrich`` makes for 10,000 files, and that three processes at once never pass the limiter.

The site is the sandbox of this process. Of the files, one in a hundred is unknown there, and each of the others is of a
model of its own: the most that pages can cost.

    python benchmarks/civitai_enrich.py [--files 10000] [--processes 3] [--rate 2]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.bars import AT_MOST, Measure, report
from hubman.civitai.enrich import enrich
from hubman.civitai.limits import limits_for
from hubman.civitai.session import connect
from hubman.civitai.updates import updates
from hubman.progress import silent
from hubman.sandbox import Sandbox
from registry import upstream_hashes
from registry.database import Registry
from tests.support import library_factory

REQUESTS = 110
_UNKNOWN = 100
_EVERY_S = 0.005


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument(
        "--rate", type=int, default=2, help="requests a second that the limiter allows, ten times that after a rest"
    )
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is not None:
        _part(options.part, options.processes)
        return
    with tempfile.TemporaryDirectory(prefix="hubman-bench-") as name, _site(Path(name), options.files) as sandbox:
        measures = [
            *_alone(Path(name), sandbox),
            *_together(Path(name), sandbox, options.processes, options.rate),
        ]
    report(measures)


@contextmanager
def _site(folder: Path, files: int) -> Iterator[Sandbox]:
    """A sandbox that has 99 of 100 files of the library in ``folder``/home."""
    with Registry(folder / "home") as registry:
        library_factory.fill(registry, files)
        known = [one.sha256 for number, one in enumerate(upstream_hashes.known(registry)) if number % _UNKNOWN]
    with Sandbox(folder / "sandbox") as sandbox:
        sandbox.seed_hashes(known)
        os.environ["HUBMAN_CIVITAI_URL"] = sandbox.url
        os.environ.pop("CIVITAI_API_KEY", None)
        yield sandbox


def _alone(folder: Path, sandbox: Sandbox) -> Iterator[Measure]:
    """One process after the other: the first run, a second one, and asking for updates."""
    home = folder / "home"
    _copy(home, folder / "together")
    with Registry(home) as registry, connect(home) as client:
        files = len(upstream_hashes.known(registry))
        budget = REQUESTS * max(1, -(-files // 10_000))
        begin = perf_counter()
        first = enrich(registry, client, report=silent)
        note = (
            f"{perf_counter() - begin:.0f} s; {first.found:,} found, {first.unknown:,} unknown, {first.waiting:,} wait"
        )
        yield Measure("requests of the first run", len(sandbox.requests), files / 100, "", AT_MOST, budget, note)
        before, begin = len(sandbox.requests), perf_counter()
        enrich(registry, client, report=silent)
        note = f"{perf_counter() - begin:.1f} s"
        yield Measure("requests of a second run", len(sandbox.requests) - before, 0, "", AT_MOST, 0, note)
        before, begin = len(sandbox.requests), perf_counter()
        updates(registry, client)
        note = f"{perf_counter() - begin:.0f} s"
        yield Measure("requests for updates of all", len(sandbox.requests) - before, 0, "", AT_MOST, budget, note)


def _together(folder: Path, sandbox: Sandbox, processes: int, rate: int) -> Iterator[Measure]:
    """Several processes of one home, each with its share of the files."""
    os.environ.update(HUBMAN_HOME=str(folder / "together"), HUBMAN_CIVITAI_RATE=str(rate))
    limits = limits_for(sandbox.url.partition("//")[2])
    before = len(sandbox.requests)
    with _watched(sandbox) as seen:
        parts = [_start(number, processes) for number in range(processes)]
        failed = [part.returncode for part in parts if part.wait() != 0]
    over = excess(seen, limits.rate, limits.burst)
    files = f"{len(sandbox.requests) - before} requests by {processes} processes in {seen[-1][0] - seen[0][0]:.0f} s"
    yield Measure("requests past the limiter", over, 0, "", AT_MOST, 0, files)
    yield Measure("processes that failed", len(failed), 0, "", AT_MOST, 0)


def excess(seen: Sequence[tuple[float, int]], rate: float, burst: float) -> float:
    """How many requests more than ``burst`` and ``rate`` a second allow the busiest stretch of time had.

    ``seen`` are (seconds, requests so far). Only whole requests count: the sandbox notes one when its answer begins, by
    which one may have come a part of a second after another and be noted sooner.
    """
    most = 0.0
    # Of all stretches that end now, the busiest begins where requests were furthest behind the rate.
    lowest = float("inf")
    for at, count in seen:
        level = count - rate * at
        lowest = min(lowest, level)
        most = max(most, level - lowest - burst)
    return float(int(most))


@contextmanager
def _watched(sandbox: Sandbox) -> Iterator[list[tuple[float, int]]]:
    """Count the requests at the sandbox all the time."""
    seen: list[tuple[float, int]] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.append((monotonic(), len(sandbox.world.requests)))
            sleep(_EVERY_S)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def _start(number: int, processes: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(Path(__file__)), "--part", str(number), "--processes", str(processes)]
    return subprocess.Popen(command)


def _part(number: int, processes: int) -> None:
    """What one of several processes does: ask about its share of the models."""
    home = Path(os.environ["HUBMAN_HOME"])
    with Registry(home) as registry, connect(home) as client:
        mine = [row[0] for row in registry.db.execute("SELECT id FROM listing ORDER BY id")][number::processes]
        enrich(registry, client, report=silent, models=mine)


def _copy(home: Path, target: Path) -> None:
    with Registry(home) as registry:
        target.mkdir()
        registry.db.execute("VACUUM INTO ?", (str(target / "registry.db"),))


if __name__ == "__main__":
    main()
