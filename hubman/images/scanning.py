"""Look through folders of pictures for what was drawn with which model: only what is new or changed is opened.

Reading happens in two threads, writing in batches, each one transaction: a scan that is stopped keeps what it had
written, and the next one goes on from there.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import msgspec

from hubman.images import reading
from hubman.images.walking import Changes, Fresh, look
from registry import image_folders, picture_text, roots, timestamps, usage, usage_match
from registry.database import Registry
from registry.scan_walk import Problem
from registry.usage_match import Unmatched

BATCH = 500
_THREADS = 2
_PORTION = 25
"""Pictures that a thread takes at once: handing them over one by one would cost as much as reading them."""
_AHEAD = 16

Watch = Callable[[int, int], None]
"""Told of pictures looked at (done, of all)."""


class ImageScan(msgspec.Struct, frozen=True, kw_only=True):
    """``read`` pictures were opened, of which ``told`` say what they were drawn with and ``new`` were never seen before;
    ``gone`` are no longer where they were and still count. ``unmatched`` names fit no file or several.
    """

    read: int = 0
    told: int = 0
    new: int = 0
    gone: int = 0
    unchanged: int = 0
    unmatched: tuple[Unmatched, ...] = ()
    problems: tuple[Problem, ...] = ()


def scan(registry: Registry, watch: Watch | None = None, folders: Sequence[Path] | None = None) -> ImageScan:
    """Look through the given folders, which are watched from then on, or through all that are.

    Raises :class:`registry.errors.UsageError` for a given folder that is none.
    """
    tops = [roots.absolute(folder) for folder in folders or ()]
    for top in tops:
        image_folders.add(registry, top)
    found = Changes()
    for top in tops or [folder.path for folder in image_folders.all_folders(registry)]:
        _extend(found, look(registry.db, str(top)))
    told = new = done = 0
    with contextlib.closing(_readings(found.fresh)) as readings:
        for batch in _batches(readings):
            (watch or _silent)(done, len(found.fresh))
            told += sum(one.drawing is not None for one in batch)
            new += _write(registry, batch, found.problems)
            done += len(batch)
    (watch or _silent)(done, len(found.fresh))
    with registry.transaction() as db:
        db.executemany("DELETE FROM image_files WHERE folder = ? AND name = ?", found.gone)
    return ImageScan(
        read=done, told=told, new=new, gone=len(found.gone), unchanged=found.unchanged,
        unmatched=tuple(usage_match.refresh(registry)), problems=tuple(found.problems),
    )  # fmt: skip


def _silent(_done: int, _total: int) -> None:
    """Nobody watches."""


def _extend(found: Changes, more: Changes) -> None:
    found.fresh += more.fresh
    found.gone += more.gone
    found.unchanged += more.unchanged
    found.problems += more.problems


class _Reading(msgspec.Struct, frozen=True):
    fresh: Fresh
    drawing: usage.Drawing | None = None
    problem: str = ""


def _readings(fresh: Sequence[Fresh]) -> Generator[_Reading]:
    """In order, some portions ahead of the writer."""
    waiting: deque[Future[list[_Reading]]] = deque()
    with ThreadPoolExecutor(_THREADS, "images") as pool:
        try:
            for start in range(0, len(fresh), _PORTION):
                waiting.append(pool.submit(_read_all, fresh[start : start + _PORTION]))
                if len(waiting) > _AHEAD:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read_all(fresh: Iterable[Fresh]) -> list[_Reading]:
    return [_read(one) for one in fresh]


def _read(fresh: Fresh) -> _Reading:
    try:
        with open(fresh.path, "rb", buffering=0) as file:  # noqa: PTH123 - paths stay texts here, for speed
            picture = picture_text.read(file)
    except OSError as error:
        return _Reading(fresh, problem=f"can't be read ({error.strerror})")
    found = reading.read(picture.texts)
    if found is None:
        return _Reading(fresh)
    drawing = usage.Drawing(
        content=reading.content_of(picture.texts, picture.content),
        made_at=_moment(fresh.modified),
        tool=found.tool,
        path=fresh.path,
        uses=found.uses,
        prompt=found.prompt,
    )
    return _Reading(fresh, drawing)


def _moment(seconds: float) -> str:
    try:
        return timestamps.of_seconds(seconds)
    except (ValueError, OverflowError, OSError):
        # A file system may keep any number; the first moment is never the latest use.
        return timestamps.of_seconds(0)


def _batches(readings: Iterator[_Reading]) -> Iterator[list[_Reading]]:
    while batch := list(islice(readings, BATCH)):
        yield batch


def _write(registry: Registry, batch: Sequence[_Reading], problems: list[Problem]) -> int:
    """Returns how many of the pictures were never seen before."""
    problems += [Problem(one.fresh.path, one.problem) for one in batch if one.problem]
    sound = [one for one in batch if not one.problem]
    with registry.transaction() as db:
        before = db.execute("SELECT count(*) FROM images").fetchone()[0]
        told = [one for one in sound if one.drawing is not None]
        numbers = usage.record(db, [one.drawing for one in told if one.drawing is not None])
        images = {one.fresh.path: number for one, number in zip(told, numbers, strict=True)}
        db.executemany(
            "INSERT OR REPLACE INTO image_files VALUES (?, ?, ?, ?, ?, ?)",
            [(one.fresh.folder, one.fresh.name, *one.fresh.key, images.get(one.fresh.path)) for one in sound],
        )
        return int(db.execute("SELECT count(*) FROM images").fetchone()[0] - before)
