"""Every bar of the library at 10,000 and 50,000 models, each beside the same work by bare functions in the same run.

Libraries are made in a temporary folder: 50,000 models take 3.5 GB there and some ten minutes, nearly all of it to
hash and write what the warm bars then look at. A busy machine makes the absolute figures noise; the ratios hold.

    python benchmarks/library.py [--models 10000 50000] [--only cold hashing …] [--hash-mb 2000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import library_bare, library_query
from benchmarks.bars import AT_MOST, HEADER, OVER, SHARE, TIMES, Measure
from benchmarks.library_maker import make_large_files, make_library
from registry import facets, roots, scan
from registry.database import Registry
from tests.support import library_factory

SIZES = (10_000, 50_000)
COLD, WARM_CHECK, HASHING = 1.5, 2.0, 0.9
WARM_START_S, PICTURE_MS, MEMORY_MB = 0.5, 60.0, 150.0
_TUI = Path(__file__).with_name("library_tui.py")


def list_all(registry: Registry) -> float:
    """Seconds until lists show every file: headers read and written, before pictures and sidecars are, nothing hashed."""
    begin = perf_counter()
    listed = 0.0

    def watch(stage: str, done: int, total: int) -> None:
        nonlocal listed
        if stage == "listing" and done == total:
            listed = perf_counter() - begin

    scan.scan(registry, watch, hashing=False)
    return listed


def hash_all(registry: Registry) -> None:
    """Hash what is listed."""
    scan.scan(registry)


@dataclass
class Bench:
    """One size of library; folders are made when a bar first asks for them."""

    folder: Path
    models: int
    hash_bytes: int

    @cached_property
    def library(self) -> Path:
        made = self.folder / "library"
        make_library(made, self.models)
        return made

    def new_home(self, name: str, root: Path) -> Path:
        home = self.folder / name
        with Registry(home) as registry:
            roots.add(registry, root)
        return home

    @cached_property
    def home(self) -> Path:
        """A registry that knows the library, hashes and all."""
        home = self.folder / "cold"
        if not home.exists():
            self.new_home("cold", self.library)
        with Registry(home) as registry:
            hash_all(registry)
        return home

    def budget(self, at_10_000: float | None, at_50_000: float | None) -> float | None:
        return {10_000: at_10_000, 50_000: at_50_000}.get(self.models)


def seconds(work: Callable[[], object]) -> float:
    begin = perf_counter()
    work()
    return perf_counter() - begin


def in_process(measure: str, home: Path) -> Any:
    """What ``library_tui.py`` finds, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(_TUI), measure, str(home)], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        sys.exit(f"library_tui.py {measure} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


# the bars, in the order in which a library comes to be ------------------------------------------------------------


def cold(bench: Bench) -> Iterator[Measure]:
    folder = bench.library
    home = bench.new_home("cold", folder)
    note = library_bare.drop_page_cache()
    bare = seconds(lambda: library_bare.read_headers(folder))
    library_bare.drop_page_cache()
    with Registry(home) as registry:
        listed = list_all(registry)
    yield Measure("cold scan until all are listed", listed, bare, "s", TIMES, COLD, note)


def hashing(bench: Bench) -> Iterator[Measure]:
    folder = bench.folder / "large"
    make_large_files(folder, bench.hash_bytes)
    with Registry(bench.new_home("hashing", folder)) as registry:
        list_all(registry)
        library_bare.hash_files(folder)
        bare = seconds(lambda: library_bare.hash_files(folder))
        ours = seconds(lambda: hash_all(registry))
    size = bench.hash_bytes / 1e6
    yield Measure("hashing in the background", size / ours, size / bare, "MB/s", SHARE, HASHING)


def check(bench: Bench) -> Iterator[Measure]:
    """In turn, so that a busy machine slows both alike."""
    with Registry(bench.home) as registry:
        times = [
            (seconds(lambda: scan.scan(registry)), seconds(lambda: library_bare.walk_and_stat(bench.library)))
            for _ in range(9)
        ]
    ours, bare = (median(one) * 1000 for one in zip(*times, strict=True))
    yield Measure("warm check for changes", ours, bare, "ms", TIMES, WARM_CHECK)


def start(bench: Bench) -> Iterator[Measure]:
    home = bench.home

    def one(measure: str) -> float:
        begin = monotonic()
        return float(in_process(measure, home)) - begin

    times = [(one("start"), one("empty")) for _ in range(7)]
    ours, empty = (median(each) for each in zip(*times, strict=True))
    yield Measure("warm start until the list shows", ours, empty, "s", OVER, WARM_START_S, "over an empty Textual app")


def cursor(bench: Bench) -> Iterator[Measure]:
    times = sorted(in_process("cursor", bench.home))
    bare = _bare_pictures(bench.home)
    note = f"median of {len(times)}, p90 {quantiles(times, n=10)[-1]:.0f}; reference: Pillow alone"
    yield Measure("cursor key to new picture", median(times), bare, "ms", AT_MOST, PICTURE_MS, note)


def _bare_pictures(home: Path) -> float:
    """Milliseconds to shrink one of the previews."""
    from PIL import Image

    def shrink(path: Path) -> None:
        with Image.open(path) as image:
            image.draft("RGB", (320, 320))
            image.convert("RGB").thumbnail((320, 320))

    paths = sorted(path for path in (home / "blobs").glob("*/*") if path.is_file())[:60]
    return median(seconds(partial(shrink, path)) for path in paths) * 1000


def memory(bench: Bench) -> Iterator[Measure]:
    ours, bare = in_process("memory", bench.home), in_process("bare", bench.home)
    own = ours["anonymous"] / 1e6
    yield Measure(
        "peak memory of the TUI (VmHWM)", ours["peak"] / 1e6, bare["peak"] / 1e6, "MB", AT_MOST,
        bench.budget(None, MEMORY_MB), f"{own:.0f} MB its own at the end; reference: an empty app",
    )  # fmt: skip


def query(bench: Bench) -> Iterator[Measure]:
    with Registry(bench.folder / "query") as registry:
        library_factory.fill_fast(registry, bench.models)
        lines = library_query.queries(200)
        rows = [ms for ms, _ in library_query.timed(library_query.first_rows, registry, lines)]
        counts = [ms for ms, _ in library_query.timed(facets.facets, registry, list(library_query.FACETS))]
        page = seconds(lambda: registry.db.execute("SELECT id, name FROM models ORDER BY name LIMIT 100").fetchall())
        letters = seconds(lambda: Counter("".join(row[0] for row in registry.db.execute("SELECT facets FROM listing"))))
    to_rows, to_facets = library_query.BUDGETS.get(bench.models, (None, None))
    yield Measure(
        "query to rows, p95 of 200", quantiles(rows, n=20)[-1], page * 1000, "ms", AT_MOST, to_rows,
        f"median {median(rows):.1f}; reference: one page by SQL",
    )  # fmt: skip
    yield Measure(
        "facets with counts, slowest", max(counts), letters * 1000, "ms", AT_MOST, to_facets,
        f"median {median(counts):.0f}; reference: all rows counted",
    )  # fmt: skip


BARS: dict[str, Callable[[Bench], Iterator[Measure]]] = {
    "cold": cold, "hashing": hashing, "check": check, "start": start, "query": query, "cursor": cursor, "memory": memory,
}  # fmt: skip


def measure(models: int, names: list[str], hash_bytes: int) -> bool:
    ok = True
    with tempfile.TemporaryDirectory(prefix="hubman-bench-") as folder:
        bench = Bench(Path(folder), models, hash_bytes)
        print(f"\n{models:,} models\n{HEADER}")
        for name in names:
            for found in BARS[name](bench):
                print(found.line(), flush=True)
                ok = ok and found.holds
    return ok


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=int, nargs="+", default=list(SIZES))
    parser.add_argument(
        "--only", choices=list(BARS), nargs="+", default=list(BARS), metavar="NAME", help=", ".join(BARS)
    )
    parser.add_argument("--hash-mb", type=int, default=2000, help="megabytes that the bar of hashing reads")
    options = parser.parse_args()
    names = [name for name in BARS if name in options.only]
    results = [measure(models, names, options.hash_mb * 1_000_000) for models in options.models]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
