"""Images and masks decoded and measured, in threads, each once as long as its file stays the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from hubman.progress import Progress, Report
from hubman.train.data.mask_files import Mask, measure_mask
from hubman.train.data.pictures import Picture, measure
from hubman.train.files import write_atomically
from registry.decodable import decodable
from registry.errors import HubError

T = TypeVar("T", Picture, Mask)

VERSION = 3
"""Of what is measured: a cache with other measurements is not used."""


class Known(msgspec.Struct, Generic[T], frozen=True):
    """A measurement and the file that it is of."""

    size: int
    mtime_ns: int
    value: T


class Cache(msgspec.Struct, frozen=True):
    """What is known of the files of one set, by absolute path."""

    version: int
    pictures: dict[str, Known[Picture]] = {}
    masks: dict[str, Known[Mask]] = {}


def cache_file(home: Path, folder: Path) -> Path:
    """Where the measurements of the set in ``folder`` are kept: below hubman's home, since a set may be read-only."""
    name = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:24]
    return home / "cache" / "datasets" / f"{name}.json"


def measure_all(
    images: Sequence[Path], masks: Sequence[Path], cache: Path | None, report: Report
) -> tuple[dict[Path, Picture], dict[Path, Mask]]:
    """The measurements of every image and mask; ``cache`` is read and, where anything is new, written."""
    before = _read(cache)
    pictures = _look(images, before.pictures, measure, lambda error: Picture(error=error), "read images", report)
    found = _look(masks, before.masks, measure_mask, lambda error: Mask(error=error), "read masks", report)
    after = Cache(VERSION, _named(pictures), _named(found))
    if cache is not None and after != before:
        _write(cache, after)
    return {path: known.value for path, known in pictures.items()}, {path: known.value for path, known in found.items()}


def _look(
    paths: Sequence[Path],
    before: dict[str, Known[T]],
    measure_one: Callable[[Path], T],
    failed: Callable[[str], T],
    stage: str,
    report: Report,
) -> dict[Path, Known[T]]:
    def look(path: Path) -> Known[T]:
        try:
            stat = path.stat()
        except OSError as error:
            return Known(0, 0, failed(f"cannot be read ({error.strerror})"))
        known = before.get(str(path.absolute()))
        if known is not None and (known.size, known.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            return known
        return Known(stat.st_size, stat.st_mtime_ns, measure_one(path))

    # Decoding and filtering release the GIL, so threads use every core.
    found: dict[Path, Known[T]] = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for path, known in zip(paths, pool.map(look, paths), strict=True):
            found[path] = known
            report(Progress(stage=stage, done=len(found), total=len(paths), unit="images"))
    return found


def _named(found: dict[Path, Known[T]]) -> dict[str, Known[T]]:
    return {str(path.absolute()): known for path, known in found.items()}


def _read(path: Path | None) -> Cache:
    if path is not None:
        try:
            found = msgspec.json.decode(path.read_bytes(), type=decodable(Cache))
        except (OSError, msgspec.DecodeError):
            return Cache(VERSION)
        if found.version == VERSION:
            return found
    return Cache(VERSION)


def _write(path: Path, cache: Cache) -> None:
    try:
        write_atomically(path, msgspec.json.encode(cache))
    except HubError:
        # The cache only saves time: a full disk is no reason to refuse the set.
        return
