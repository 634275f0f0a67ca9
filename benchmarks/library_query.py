"""How long from a query line to its first rows, and to all facets, in libraries of 10,000 and 50,000 models.

Prints a line a measure with its budget. Each library is made in a temporary folder, through the registry's own functions.

    python benchmarks/library_query.py [--models 10000 50000] [--queries 200]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

from registry import facets, library
from registry.database import Registry
from tests.support import library_factory

PAGE = 100
BUDGETS = {10_000: (10.0, 30.0), 50_000: (20.0, 120.0)}
"""Milliseconds to the first rows (the slowest of twenty queries) and to the facets, by models."""

_TERMS = (
    "", "ink", "w", "ne", "rain night", '"soft clay"', "harbour", "-ink", "~wathsed", "~orhcid", "~harbuor", "/^ink.*7$/",
    r"/v[12] \d+9$/", "base:sdxl", "base:flux,pony", "-base:sd15", "base:unknown", "type:lora", "type:lycoris", "tag:style",
    "tag:anime,photo", "-tag:anime", "tag:char*", "creator:mori", "rating:>=4", "rating:5", "rank:>=16", "rank:8..32",
    "size:>500mb", "size:<6mb", "added:<30d", "added:2024", "year:2025..", "strength:0.6..1", "trigger:ink", 'trigger:"rain style"',
    "lic:sell", "lic:unknown", "nsfw:<=r", "used:never", "trained:here", "has:notes", "-has:tags", "is:fav", "is:missing",
    "is:dup", "is:damaged", "is:elsewhere", "@unused", "@dupes", "@updates", "@mine", "@untested", "file:ink_wash", "folder:styles",
)  # fmt: skip
_ORDERS = ("", "", "", "sort:added", "sort:-size", "sort:rating", "sort:-used", "sort:base,-name")
FACETS = (
    "",
    "base:sdxl",
    "tag:style",
    "ink",
    "rating:>=4 type:lora",
    "-tag:anime",
    "base:sdxl type:lora nsfw:pg",
    "used:never",
)


def queries(count: int) -> list[str]:
    """Lines of one to three terms, a third of them sorted by something else than the name; the same each time."""
    draw = random.Random(7)
    lines = list(_TERMS[:count])
    while len(lines) < count:
        lines.append(" ".join([*draw.sample(_TERMS, draw.randint(1, 3)), draw.choice(_ORDERS)]).strip())
    return lines


def first_rows(registry: Registry, line: str) -> None:
    library.model_rows(registry, library.first_ids(registry, line, PAGE))


def timed(work: Callable[[Registry, str], object], registry: Registry, lines: list[str]) -> list[tuple[float, str]]:
    """Milliseconds and line, for each line once; a first round fills the caches that a second key stroke finds filled."""
    for line in lines[:5]:
        work(registry, line)
    found = []
    for line in lines:
        begin = perf_counter()
        work(registry, line)
        found.append(((perf_counter() - begin) * 1000, line))
    return found


def report(name: str, found: list[tuple[float, str]], figure: float, budget: float | None) -> bool:
    slowest = max(found)
    said = f"(budget {budget:g})" if budget else ""
    middle = median(ms for ms, _ in found)
    print(
        f"  {name:<22} {figure:7.1f} ms {said:<13} median {middle:6.1f}, slowest {slowest[0]:6.1f}: {slowest[1] or '(all)'}"
    )
    return budget is None or figure <= budget


def measure(count: int, lines: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as folder, Registry(Path(folder)) as registry:
        begin = perf_counter()
        library_factory.fill_fast(registry, count)
        print(f"{count:,} models, made in {perf_counter() - begin:.0f} s")
        rows = timed(first_rows, registry, lines)
        counts = timed(facets.facets, registry, list(FACETS))
        to_rows, to_facets = BUDGETS.get(count, (None, None))
        p95 = quantiles((ms for ms, _ in rows), n=20)[-1]
        ok = report(f"first {PAGE} rows, p95", rows, p95, to_rows)
        return report("all facets, slowest", counts, max(counts)[0], to_facets) and ok


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, nargs="+", default=list(BUDGETS))
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    sys.exit(not all(measure(count, queries(options.queries)) for count in options.models))


if __name__ == "__main__":
    main()
