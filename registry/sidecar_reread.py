"""Read the sidecars of known files again, without reading the files: what was edited beside them comes in."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from registry import changes, places, projection, sidecar_store, sidecars
from registry.database import Registry
from registry.places import Known
from registry.roots import is_text
from registry.scan_sidecar import sidecar_changes
from registry.scan_walk import Problem

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
    known = [place for place in places.of_models(registry.db, models) if place.sha256 and not place.is_absent]
    problems: list[Problem] = []
    count = changed = 0
    work = list(_beside(known, problems))
    for start in range(0, len(work), _BATCH):
        read = []
        for place, paths in work[start : start + _BATCH]:
            said, broken = sidecars.read([Path(path) for path in paths], place.sha256, Path(place.path))
            problems += [Problem(str(path), reason) for path, reason in broken]
            count += len(paths)
            read.append((place, said, broken))
        with registry.transaction() as db:
            touched: set[str] = set()
            for place, said, broken in read:
                assert place.sha256 is not None, "only known content was looked for"  # noqa: S101 - for the type checker
                row = db.execute("SELECT version_id FROM files WHERE sha256 = ?", (place.sha256,)).fetchone()
                if said is not None and row is not None:
                    made = list(sidecar_changes(db, said, row[0], is_new=False))
                    touched |= changes.record(db, made)
                    changed += bool(made)
                sidecar_store.keep(db, place.path, place.sha256, said, broken)
            projection.rebuild(db, touched)
        if report is not None:
            report(min(start + _BATCH, len(work)), len(work))
    return Reread(files=len(work), sidecars=count, models=changed, problems=tuple(problems))


def _beside(known: Sequence[Known], problems: list[Problem]) -> Iterator[tuple[Known, list[str]]]:
    """Each place with the sidecars beside it, from one listing a folder."""
    folders: dict[str, list[Known]] = defaultdict(list)
    for place in known:
        folders[os.path.dirname(place.path)].append(place)  # noqa: PTH120 - paths stay texts here
    for folder, inside in folders.items():
        try:
            names = frozenset(name for name in os.listdir(folder) if is_text(name))  # noqa: PTH208
        except OSError as error:
            problems.append(Problem(folder, f"can't be read ({error.strerror})"))
            continue
        for place in inside:
            name = os.path.basename(place.path)  # noqa: PTH119 - paths stay texts here
            yield place, [f"{folder.rstrip('/')}/{beside}" for beside in sidecars.find(name, names)]
