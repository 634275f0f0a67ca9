"""Fetching a file: room first, resumed where an earlier try ended, verified before it gets its name."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hubman.civitai.errors import UnavailableError
from hubman.civitai.following import Source
from hubman.civitai.part import Part, Saver, quarantine, settle_earlier
from hubman.civitai.small import fetch_small
from hubman.civitai.transfer import ChangedError, Transfer, Tuning
from hubman.civitai.transport import Transport
from hubman.progress import Progress, Report, silent
from hubman.rate import Limit
from registry.errors import DamagedFileError, HubError

__all__ = ["Downloaded", "Wish", "fetch", "fetch_small", "fetching"]

_RESTARTS = 4


class Downloaded(msgspec.Struct, frozen=True, kw_only=True):
    """A file that arrived; ``verified`` says whether Civitai told a SHA-256 to hold it against."""

    path: Path
    sha256: str
    size: int
    verified: bool


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What to fetch, and how. ``sha256`` and ``size`` are what the site tells, empty and 0 where it doesn't.

    ``ask_again`` is called when the content is another, or nobody told which: the SHA-256 that the site tells now.
    """

    url: str
    dest: Path
    sha256: str = ""
    size: int = 0
    tuning: Tuning = Tuning()
    limit: Limit = Limit()
    ask_again: Callable[[], str] | None = None


def fetch(transport: Transport, wish: Wish, report: Report = silent) -> Downloaded:
    """As :func:`fetching`, and to the last byte on the disk."""
    with fetching(transport, wish, report) as got:
        return got


@contextmanager
def fetching(transport: Transport, wish: Wish, report: Report = silent) -> Iterator[Downloaded]:
    """Download to ``wish.dest``; inside, the file is whole and has its name, and is being flushed meanwhile.

    Raises :class:`DamagedFileError` when the content is twice not what the site says (it is moved into quarantine),
    :class:`HubError` when the disk has no room or another process is at it, a :class:`CivitaiError` for refusals.
    """
    settle_earlier(wish.dest, wish.sha256)
    part = Part(wish.dest, wish.sha256)
    try:
        saver = Saver(part)
        try:
            got = _obtain(transport, wish, part, saver, report)
            flushing = threading.Thread(target=part.settle, name="flush")
            flushing.start()
            try:
                yield got
            finally:
                flushing.join()
        finally:
            saver.end()
    finally:
        part.close()


def _obtain(transport: Transport, wish: Wish, part: Part, saver: Saver, report: Report) -> Downloaded:
    if not wish.sha256 and not part.etag:
        # Nothing tells whether a remainder belongs to the same file.
        part.reset()
    _check_room(wish.dest, wish.size - _there(part))
    told = wish.sha256.lower()
    for is_last in (False, True):
        content, size = _fill(transport, wish, part, saver, report)
        if content != told and wish.ask_again:
            told = wish.ask_again().lower() or told
        if told in {"", content}:
            part.give_name(content)
            return Downloaded(path=wish.dest, sha256=content, size=size, verified=bool(told))
        if not is_last:
            part.reset()
    saver.pause()
    kept = quarantine(part.path, wish.dest, f"its SHA-256 is {content}, Civitai tells {told}")
    part.discard()
    raise DamagedFileError(
        f"{wish.dest.name} arrived twice with other content than Civitai tells (its SHA-256 differs)",
        f"it is kept apart as {kept}; pull it again later",
    )


def _fill(transport: Transport, wish: Wish, part: Part, saver: Saver, report: Report) -> tuple[str, int]:
    """Fetch until the part is whole; its SHA-256 and size."""
    name = wish.dest.name
    tuning = wish.tuning
    source = Source(transport, wish.url, name)

    def tell(done: int, total: int) -> None:
        report(Progress(stage="download", done=done, total=total, unit="B", message=name))

    for _ in range(_RESTARTS):
        run = Transfer(
            source, part, saver, tuning=tuning, limit=wish.limit, wait=transport.wait, expected=wish.size,
            room=lambda needed: _check_room(wish.dest, needed),
        )  # fmt: skip
        try:
            return run.run(tell), run.size
        except ChangedError as change:
            saver.pause()
            part.reset()
            if not change.is_resumable:
                tuning = msgspec.structs.replace(tuning, connections=1)
    raise UnavailableError(f"{name} can't be had in one piece: the server begins anew each time", "try again later")


def _there(part: Part) -> int:
    return sum(stop - start for start, stop in part.done)


def _check_room(dest: Path, needed: int) -> None:
    free = shutil.disk_usage(dest.parent).free
    if needed > free:
        raise HubError(
            f"{dest.parent} has {free >> 20} MiB free, {needed >> 20} MiB are needed",
            "make room, or choose another folder",
        )
