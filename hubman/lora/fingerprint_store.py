"""Fingerprints by the hash of their file: made once, read often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from hubman.lora.fingerprints import Fingerprint, Layout, decoded, encoded_size, fingerprint
from registry import fingerprints as kept
from registry.database import Registry
from registry.errors import DamagedFileError, HubError
from registry.fingerprints import StoredNorms, Wanted


def make(registry: Registry, sha256: str, path: Path) -> Fingerprint:
    """Read a file and keep its fingerprint, or why there is none. Raises what ``fingerprint`` raises, and ``HubError``
    if the disk refuses.
    """
    try:
        made = fingerprint(path)
    except DamagedFileError as error:
        kept.put_problem(registry, sha256, error.message)
        raise
    kept.put(registry, _norms(sha256, made), made.layout.names, made.encoded())
    return made


def make_missing(
    registry: Registry,
    report: Callable[[int, int], None],
    may_go_on: Callable[[], bool] = lambda: True,
) -> tuple[int, list[str]]:
    """Make all that the library lacks: (how many were made, what went wrong). Killed, it goes on where it was."""
    files = kept.wanted(registry)
    made, problems = 0, []
    for number, file in enumerate(files):
        report(number, len(files))
        if not may_go_on():
            break
        problem = try_one(registry, file)
        made += not problem
        if problem:
            problems.append(problem)
    else:
        report(len(files), len(files))
    return made, problems


def try_one(registry: Registry, file: Wanted) -> str:
    """Make one; what went wrong, or nothing."""
    try:
        make(registry, file.sha256, Path(file.path))
    except HubError as error:
        return str(error)
    except OSError as error:
        return f"{file.path} can't be read ({error.strerror})"
    return ""


def stored(registry: Registry, sha256: str) -> Fingerprint | None:
    """The kept fingerprint of a content, None if there is none, or if its numbers were lost."""
    found = kept.norms(registry, [sha256]).get(sha256)
    return _read(registry, found) if found else None


def each_stored(registry: Registry) -> Iterator[tuple[StoredNorms, memoryview, Layout]]:
    """The row, the encoded numbers and the layout of every kept fingerprint. The next overwrites the numbers."""
    room = bytearray()
    for found in kept.all_norms(registry):
        layout = _layout(registry, found.layout)
        size = encoded_size(layout)
        if len(room) < size + 1:
            room = bytearray(size + 1)
        if kept.content_into(registry, found.sha256, room) == size:
            yield found, memoryview(room)[:size], layout


def _read(registry: Registry, found: StoredNorms) -> Fingerprint | None:
    content = kept.content(registry, found.sha256)
    layout = _layout(registry, found.layout)
    if content is None or len(content) != encoded_size(layout):
        kept.forget(registry, found.sha256)
        return None
    return decoded(layout, content, found.untold, found.ranks)


def _layout(registry: Registry, layout_id: str) -> Layout:
    known = _layouts(layout_id)
    if not known:
        known.append(Layout(kept.modules(registry, layout_id)))
    return known[0]


@lru_cache(maxsize=256)
def _layouts(layout_id: str) -> list[Layout]:
    """Room for the layout of that id, which follows from the names in it."""
    del layout_id
    return []


def _norms(sha256: str, made: Fingerprint) -> StoredNorms:
    squares = made.squares()
    blocks: dict[str, float] = {}
    for block, square in zip(made.layout.blocks, squares, strict=True):
        blocks[block] = blocks.get(block, 0.0) + float(square)
    return StoredNorms(
        sha256=sha256,
        layout=made.layout.id,
        norm=made.norm,
        ranks=made.ranks,
        blocks={block: float(np.sqrt(square)) for block, square in blocks.items()},
        untold=made.untold,
    )
