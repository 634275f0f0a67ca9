"""Read the sidecars of known files again, without reading the files: what was edited beside them comes in."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from registry import changes, places, projection, sidecar_store, sidecars
from registry.database import Registry
from registry.places import Known
from registry.roots import is_text
from registry.scan_sidecar import sidecar_changes
from registry.scan_walk import Problem
from registry.sidecar_record import Sidecar

_BATCH = 50


class Reread(msgspec.Struct, frozen=True, kw_only=True):
    """``files`` were looked at and have ``sidecars`` beside them, ``models`` had something change; ``problems`` are
    the sidecars that can't be understood and the folders that can't be read.
    """

    files: int = 0
    sidecars: int = 0
    models: int = 0
    problems: tuple[Problem, ...] = ()


def reread(registry: Registry, models: Sequence[str], report: Callable[[int, int], None] | None = None) -> Reread:
    """Take in what the sidecars beside these models' files say now. ``report`` is told of files (done, of all)."""
    return _reread(registry, places.of_models(registry.db, models), report)


def at(registry: Registry, paths: Sequence[str]) -> Reread:
    """As :func:`reread`, of the files at these places."""
    found = (places.known_at(registry.db, path) for path in paths)
    return _reread(registry, [place for place in found if place], None)


def edited(registry: Registry, paths: Iterable[str]) -> Reread:
    """As :func:`reread`, of the files beside which these sidecars lie, or lay at the last look."""
    return _reread(registry, _of_sidecars(registry.db, set(paths)), None)


def _of_sidecars(db: sqlite3.Connection, wanted: set[str]) -> list[Known]:
    folders = {os.path.dirname(path) for path in wanted}  # noqa: PTH120 - paths stay texts here
    inside = [place for folder in folders for place in places.known_in(db, folder) if place.sha256]
    found = []
    for place, beside in _beside([place for place in inside if not place.is_absent], []):
        known = db.execute("SELECT path FROM sidecars WHERE place = ?", (place.path,)).fetchall()
        if wanted & {*beside, *(row[0] for row in known)}:
            found.append(place)
    return found


def _reread(registry: Registry, found: Sequence[Known], report: Callable[[int, int], None] | None) -> Reread:
    known = [place for place in found if place.sha256 and not place.is_absent]
    problems: list[Problem] = []
    count = changed = 0
    work = list(_beside(known, problems))
    for start in range(0, len(work), _BATCH):
        read = [(place, *_read(place, paths)) for place, paths in work[start : start + _BATCH]]
        count += sum(len(paths) for _, paths in work[start : start + _BATCH])
        problems += [Problem(str(path), reason) for _, _, broken in read for path, reason in broken]
        with registry.transaction() as db:
            touched: set[str] = set()
            for place, said, broken in read:
                assert place.sha256 is not None, "only known content was looked for"  # noqa: S101 - for the type checker
                row = db.execute("SELECT version_id FROM files WHERE sha256 = ?", (place.sha256,)).fetchone()
                if said is not None and row is not None:
                    # Each change is applied before the next is made: the first may lead to another model.
                    before = sidecar_store.rows_of(db, row[0])
                    news = changes.record(db, sidecar_changes(db, said, row[0], is_new=False, before=before))
                    touched |= news
                    changed += bool(news)
                sidecar_store.keep(db, place.path, place.sha256, said, broken)
            projection.rebuild(db, touched)
        if report is not None:
            report(min(start + _BATCH, len(work)), len(work))
    return Reread(files=len(work), sidecars=count, models=changed, problems=tuple(problems))


def note_written(registry: Registry, paths: Iterable[str]) -> None:
    """Hubman wrote these sidecars, or put them back: what they say is known, and no news."""
    with registry.transaction() as db:
        for place, beside in _beside(_of_sidecars(db, set(paths)), []):
            assert place.sha256 is not None, "only known content was looked for"  # noqa: S101 - for the type checker
            said, broken = _read(place, beside)
            sidecar_store.keep(db, place.path, place.sha256, said, broken)


def _read(place: Known, beside: Sequence[str]) -> tuple[Sidecar | None, list[tuple[Path, str]]]:
    return sidecars.read([Path(path) for path in beside], place.sha256, Path(place.path))


def _beside(known: Sequence[Known], problems: list[Problem]) -> Iterator[tuple[Known, list[str]]]:
    """Each place with the sidecars beside it, from one listing a folder."""
    folders: dict[str, list[Known]] = defaultdict(list)
    for place in known:
        folders[os.path.dirname(place.path)].append(place)  # noqa: PTH120 - paths stay texts here
    for folder, inside in folders.items():
        try:
            names = frozenset(name for name in os.listdir(folder) if is_text(name))  # noqa: PTH208 - paths stay texts here
        except OSError as error:
            problems.append(Problem(folder, f"can't be read ({error.strerror})"))
            continue
        for place in inside:
            name = os.path.basename(place.path)  # noqa: PTH119 - paths stay texts here
            yield place, [f"{folder.rstrip('/')}/{beside}" for beside in sidecars.find(name, names)]
