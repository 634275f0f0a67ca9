"""What a scan has to do, found out by looking at folders and without reading a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from registry import places
from registry import roots as folders
from registry.database import Registry
from registry.errors import UsageError
from registry.places import Known, Seen
from registry.scan_walk import Problem, Walk, walk

Watch = Callable[[str, int, int], None]
"""Told of ``(stage, done, total)``: ``looking`` counts folders, ``reading`` files."""


@dataclass
class Plan:
    """``to_read`` are new or changed; ``moved`` are known by inode, size and time, and need no reading.

    ``vanished`` are the places that are gone unless reading finds their content elsewhere.
    """

    known: dict[str, Known]
    paths: set[str]
    to_read: list[Seen] = field(default_factory=list)
    moved: list[tuple[Known, Seen]] = field(default_factory=list)
    vanished: dict[str, Known] = field(default_factory=dict)
    without_preview: list[Seen] = field(default_factory=list)
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)


def look(registry: Registry, watch: Watch, wanted: Sequence[Path] | None, *, rehash: bool) -> Plan:
    """Compare folders with what is known of them: the ``wanted`` ones, or every root and every file elsewhere.

    Raises :class:`UsageError` for a wanted folder that is none.
    """
    known, found = _look(registry, watch, wanted)
    plan = Plan(known, set(known) | set(found.files), problems=found.problems)
    unread = tuple(f"{folder}/" for folder in found.unread)
    plan.vanished = {
        path: place for path, place in known.items() if path not in found.files and not f"{path}/".startswith(unread)
    }
    by_key = {place.key: place for place in plan.vanished.values() if place.sha256}
    shown = _with_previews(registry)
    for path, seen in found.files.items():
        place = known.get(path)
        if place is not None and place.is_still(seen) and not rehash:
            if place.state == places.MISSING:
                plan.moved.append((place, seen))
            else:
                plan.unchanged += 1
                if seen.preview and place.sha256 not in shown:
                    plan.without_preview.append(seen)
        elif place is None and not rehash and (source := by_key.pop(seen.key, None)):
            plan.moved.append((source, seen))
            del plan.vanished[source.path]
        else:
            plan.to_read.append(seen)
    # Small files first, so that the list fills quickly; the newest first among those of a size.
    plan.to_read.sort(key=lambda seen: (seen.size.bit_length(), -seen.mtime_ns))
    return plan


def _with_previews(registry: Registry) -> set[str]:
    sql = "SELECT f.sha256 FROM files f WHERE EXISTS (SELECT 1 FROM previews p WHERE p.version_id = f.version_id)"
    return {row[0] for row in registry.db.execute(sql)}


def _look(registry: Registry, watch: Watch, wanted: Sequence[Path] | None) -> tuple[dict[str, Known], Walk]:
    """(places known in the scanned folders, what lies there now)."""
    scanned = _scanned(registry, wanted)
    roots = {str(root) for root in folders.all_roots(registry)}
    everything, visited = Walk(), set[tuple[int, int]]()
    known: dict[str, Known] = {} if wanted else places.all_known(registry.db)
    for number, folder in enumerate(scanned):
        watch("looking", number, len(scanned))
        here = places.known_under(registry.db, folder)
        known |= here
        found = _offline(folder, known=bool(here), is_root=folder in roots) or walk(folder, visited)
        everything.files |= found.files
        everything.problems += found.problems
        everything.unread += found.unread
    watch("looking", len(scanned), len(scanned))
    if not wanted:
        _look_at_strays(known, scanned, everything)
    return known, everything


def _scanned(registry: Registry, wanted: Sequence[Path] | None) -> list[str]:
    if wanted:
        found = [folders.absolute(folder) for folder in wanted]
        for folder, given in zip(found, wanted, strict=True):
            if not folder.is_dir():
                raise UsageError(f"{given} is no folder", "give a folder that exists")
    else:
        own = folders.absolute(registry.models_folder)
        found = folders.all_roots(registry) + ([own] if own.is_dir() else [])
    return sorted({str(folder) for folder in found})


def _offline(folder: str, *, known: bool, is_root: bool) -> Walk | None:
    """A root whose drive is not connected shows as no folder, or as an empty one where it would be mounted."""
    try:
        with os.scandir(folder) as listing:
            is_away = is_root and known and next(listing, None) is None
    except FileNotFoundError:
        is_away = True
    except OSError:
        return None
    return Walk(problems=[Problem(folder, "is away: is its drive connected?")], unread=[folder]) if is_away else None


def _look_at_strays(known: dict[str, Known], scanned: list[str], found: Walk) -> None:
    """Files that were indexed one by one, outside every root."""
    inside = tuple(f"{folder.rstrip('/')}/" for folder in scanned)
    for path in known:
        if path.startswith(inside) or path in found.files:
            continue
        try:
            found.files[path] = places.seen_from(path, os.stat(path))  # noqa: PTH116 - paths stay texts here
        except OSError:
            if not os.path.isdir(os.path.dirname(path)):  # noqa: PTH112, PTH120
                found.unread.append(path)
