"""The first half of a scan: new files are listed by their headers, then told of by what lies beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from registry import places, projection, roots, unhashed
from registry.database import Registry
from registry.lookers import first_looks
from registry.places import Seen
from registry.scan_plan import Watch
from registry.scan_read import read_beside
from registry.scan_walk import Problem
from registry.scan_write import write

_BATCH = 250
"""Files in one transaction: the list grows by so many at once."""
_Result = TypeVar("_Result")


def list_files(registry: Registry, files: Sequence[Seen], watch: Watch) -> tuple[set[str], set[str]]:
    """List new files; returns the paths (that are listed, that can't be read)."""
    listed: set[str] = set()
    unreadable: set[str] = set()
    root_of = roots.Cover(registry)
    watch("listing", 0, len(files))
    for batch in first_looks(files):
        with registry.transaction() as db:
            touched: set[str] = set()
            for look in batch:
                path = look.seen.path
                if look.is_unreadable:
                    unreadable.add(path)
                    touched |= write(db, look, root_of(path))
                    continue
                if places.is_unmoved(look.seen):
                    listed.add(path)
                    touched.add(unhashed.put(db, look, root_of(path)))
            projection.rebuild(db, touched)
        watch("listing", len(listed) + len(unreadable), len(files))
    return listed, unreadable


def describe_files(registry: Registry, files: Sequence[Seen], watch: Watch) -> list[Problem]:
    """Read what lies beside listed files that are not hashed yet; returns the sidecars that can't be understood."""
    if not files:
        return []
    wanted = unhashed.undescribed(registry.db)
    waiting = [seen for seen in files if seen.path in wanted]
    problems: list[Problem] = []
    done = 0
    for batch in _in_batches(lambda seen: read_beside(registry, seen), waiting):
        with registry.transaction() as db:
            touched: set[str] = set()
            for reading in batch:
                problems += reading.broken
                touched |= unhashed.describe(db, reading)
            projection.rebuild(db, touched)
        done += len(batch)
        watch("describing", done, len(waiting))
    return problems


def _in_batches(look: Callable[[Seen], _Result], files: Sequence[Seen]) -> Iterator[list[_Result]]:
    """Look in threads, and not while the writer writes: it would wait for the interpreter at each of its statements,
    which made a scan four times slower.
    """
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "list") as pool:
        for start in range(0, len(files), _BATCH):
            yield list(pool.map(look, files[start : start + _BATCH]))
