"""Read files again to see whether they are still what they were, and fit for use. Nothing but the index is written."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec

from registry import library, places, timestamps
from registry.database import Registry
from registry.errors import DamagedFileError
from registry.headers import read_header
from registry.places import Known
from registry.scan_walk import SAFETENSORS
from registry.soundness import Soundness, examine

Watch = Callable[[int, int], None]
"""Told of (bytes done, bytes in all)."""

_BATCH = 20
_AHEAD = 16


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is not sound. ``kind``: ``rot`` (its bytes changed, its size and time did not), ``damaged`` (its
    header or its length contradicts the format), ``cut`` (it is damaged only since it was scanned), ``weights`` (NaN,
    infinities, zeros), ``unreadable``.
    """

    path: str
    kind: str
    problem: str


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """``changed`` are files that are others than at the last scan, or gone: no judgement, until they are scanned.
    ``absent`` counts those that were missing or offline already. ``unopened`` are those of the sound ones of which only
    the hash was looked at: what is in a pickle can't be told without running it.
    """

    sound: int = 0
    unopened: int = 0
    absent: int = 0
    size: int = 0
    findings: tuple[Finding, ...] = ()
    changed: tuple[str, ...] = ()


def verify(registry: Registry, text: str = "", watch: Watch | None = None) -> Verified:
    """Read every file of the models that match a query line, or every file that is known, and note what is found.

    Raises :class:`UsageError` for a bad query.
    """
    known = [place for place in _wanted(registry, text) if not place.is_unhashed]
    here = [place for place in known if not place.is_absent]
    total, done, sound, unopened = sum(place.size for place in here), 0, 0, 0
    findings: list[Finding] = []
    changed: list[str] = []
    batch: list[tuple[Known, Finding | None]] = []
    for place, found in _examined(here):
        if watch is not None:
            watch(done, total)
        done += place.size
        if found == _CHANGED:
            changed.append(place.path)
            continue
        finding = _judged(place, found)
        sound += finding is None
        unopened += finding is None and not place.path.lower().endswith(SAFETENSORS)
        findings += [finding] if finding else []
        batch.append((place, finding))
        if len(batch) >= _BATCH:
            _note(registry, batch)
            batch = []
    _note(registry, batch)
    if watch is not None:
        watch(total, total)
    return Verified(
        sound=sound,
        unopened=unopened,
        absent=len(known) - len(here),
        size=done,
        findings=tuple(findings),
        changed=tuple(changed),
    )


def _wanted(registry: Registry, text: str) -> list[Known]:
    if not text.strip():
        return sorted(places.all_known(registry.db).values(), key=lambda place: place.path)
    return places.of_models(registry.db, library.model_ids(registry, text))


_CHANGED = "changed"
_Found = Soundness | OSError | DamagedFileError | str


def _examined(wanted: Sequence[Known]) -> Iterator[tuple[Known, _Found]]:
    """Read in threads, a few files ahead of the writer, in order."""
    waiting: deque[tuple[Known, Future[_Found]]] = deque()
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "verify") as pool:
        try:
            for place in wanted:
                waiting.append((place, pool.submit(_examine, place)))
                if len(waiting) > _AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _examine(place: Known) -> _Found:
    path = Path(place.path)
    try:
        is_safetensors = place.path.lower().endswith(SAFETENSORS)
        if not _is_still(place):
            if is_safetensors:
                read_header(path)
            return _CHANGED
        found = examine(path, is_safetensors=is_safetensors)
        return found if _is_still(place) else _CHANGED
    except DamagedFileError as error:
        return error
    except (FileNotFoundError, NotADirectoryError):
        return _CHANGED
    except OSError as error:
        return error


def _is_still(place: Known) -> bool:
    """Whether the file is the one that was scanned; one that could not be read then is tried again."""
    now = places.seen_from(place.path, os.stat(place.path))  # noqa: PTH116 - paths stay texts here
    return place.is_still(now) or (place.mtime_ns == places.UNREAD and place.size == now.size)


def _judged(place: Known, found: _Found) -> Finding | None:
    match found:
        case DamagedFileError():
            problem = (
                f"has changed since it was scanned and {found.message.removeprefix(Path(place.path).name).strip()}"
            )
            return Finding(path=place.path, kind="cut", problem=problem)
        case OSError():
            return Finding(path=place.path, kind="unreadable", problem=f"can't be read ({found.strerror})")
        case Soundness(sha256=sha256) if place.sha256 not in {None, sha256} and place.mtime_ns != places.UNREAD:
            problem = "has other bytes than when it was scanned, though its size and time are the same"
            if found.damage:
                problem += f"; it {found.damage}"
            return Finding(path=place.path, kind="rot", problem=problem)
        case Soundness(damage=str(damage)):
            return Finding(path=place.path, kind="damaged", problem=damage)
        case Soundness(weights=str(weights)):
            return Finding(path=place.path, kind="weights", problem=weights)
    return None


def _note(registry: Registry, batch: list[tuple[Known, Finding | None]]) -> None:
    now = timestamps.now()
    with registry.transaction() as db:
        for place, finding in batch:
            if place.sha256 is None or place.mtime_ns == places.UNREAD:
                # The next scan reads it, and knows what to make of it.
                continue
            if finding is not None and finding.kind in {"rot", "cut", "unreadable"}:
                places.mark_doubtful(db, place, finding.problem, again=finding.kind == "unreadable")
            else:
                places.mark_verified(db, place, finding.problem if finding else None, now)
