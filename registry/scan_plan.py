"""What a scan has to do, found out by looking at folders and without reading a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from registry import places
from registry import roots as folders
from registry.database import Registry
from registry.errors import UsageError
from registry.ignoring import Ignoring
from registry.places import Known, Seen, Stamps
from registry.scan_walk import Problem, Walk, walk

Watch = Callable[[str, int, int], None]
"""Told of ``(stage, done, total)``: ``looking`` counts folders, ``reading`` files."""


@dataclass
class Plan:
    """``to_list`` are new; ``to_read`` are new or changed, or were never read to their end; ``moved`` are known by
    device, inode, size and time, and need no reading.

    ``vanished`` are the places that are gone unless reading finds their content elsewhere, ``away`` those on a drive
    that is not connected, ``returned`` those that were away, or whose drive has another number than it had.
    """

    known: dict[str, Known]
    paths: set[str]
    to_list: list[Seen] = field(default_factory=list)
    to_read: list[Seen] = field(default_factory=list)
    moved: list[tuple[Known, Seen]] = field(default_factory=list)
    vanished: dict[str, Known] = field(default_factory=dict)
    away: list[str] = field(default_factory=list)
    returned: list[Seen] = field(default_factory=list)
    without_preview: list[Seen] = field(default_factory=list)
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)


def look(registry: Registry, watch: Watch, wanted: Sequence[Path] | None, *, rehash: bool) -> Plan:
    """Compare folders with what is known of them: the ``wanted`` ones, or every root and every file elsewhere.

    Raises :class:`UsageError` for a wanted folder that is none.
    """
    known, stamps, found = _look(registry, watch, wanted, rehash=rehash)
    paths = found.same.union(known, found.files)
    plan = Plan(known, paths, unchanged=len(found.same), problems=found.problems)
    _sort_absent(plan, found, stamps)
    sources = _Sources(registry, plan, found, everywhere=wanted is None)
    for path, picture in found.pictured.items():
        _, device, inode, size, mtime_ns, _ = stamps.by_path[path]
        plan.without_preview.append(Seen(path, size, mtime_ns, device, inode, picture))
    for path, seen in found.files.items():
        place = known.get(path)
        is_still = place is not None and place.is_still(seen)
        source = sources.of(seen) if place is None else None
        if source is not None:
            plan.moved.append((source, seen))
            plan.vanished.pop(source.path, None)
        elif place is not None and is_still:
            _take_known(plan, place, seen, stamps.shown)
        elif place is None or not place.is_hashed:
            plan.to_list.append(seen)
        held = place or source
        if rehash or not (is_still or source) or (held is not None and held.is_unhashed):
            plan.to_read.append(seen)
    # First what was replaced in place: of equal files the one that inherits from its predecessor makes the version.
    # Then small files, so that the list fills quickly; the newest first among those of a size.
    plan.to_read.sort(key=lambda seen: (seen.path not in known, seen.size.bit_length(), -seen.mtime_ns))
    return plan


class _Sources:
    """Where files that are found under new names lay before: the places that lost theirs."""

    def __init__(self, registry: Registry, plan: Plan, found: Walk, *, everywhere: bool) -> None:
        self._db = registry.db
        self._everywhere = everywhere
        gone = {place.path: place for place in (*places.missing(self._db), *plan.vanished.values())}
        lost = [place for place in gone.values() if place.sha256 and place.path not in found.files]
        self._by_key = {(place.device, place.key): place for place in lost}
        # A file that is hashed is known by its content wherever it turns up; one that is not must do with this.
        self._by_name: dict[tuple[str, int, int], list[Known]] = {}
        for place in lost:
            if place.is_unhashed:
                self._by_name.setdefault(_name_key(place), []).append(place)
        self._taken: set[str] = set()

    def of(self, seen: Seen) -> Known | None:
        """The place from which the file ``seen`` came, each once."""
        found = self._by_key.get((seen.device, seen.key)) or self._beyond(seen) or self._named(seen)
        if found is None or found.path in self._taken:
            return None
        self._taken.add(found.path)
        return found

    def _beyond(self, seen: Seen) -> Known | None:
        """A place outside the folders that were looked at whose file is not there any more."""
        if self._everywhere:
            return None
        known = places.with_inode(self._db, seen)
        return next((place for place in known if place.sha256 and not os.path.lexists(place.path)), None)

    def _named(self, seen: Seen) -> Known | None:
        """A listed file that was carried to another drive, or copied and deleted: its name, size and time came along."""
        found = self._by_name.get(_name_key(seen), [])
        return found[0] if len(found) == 1 else None


def _name_key(file: Known | Seen) -> tuple[str, int, int]:
    return os.path.basename(file.path), file.size, file.mtime_ns  # noqa: PTH119 - paths stay texts here


def _sort_absent(plan: Plan, found: Walk, stamps: Stamps) -> None:
    """Tell what is gone from what can't be looked at now, and that from what lies on a drive that is away."""
    unread = tuple(f"{folder}/" for folder in found.unread)
    away = tuple(f"{folder}/" for folder in found.away)
    absent = [path for path in plan.known if path not in found.files and not f"{path}/".startswith(unread)]
    if not absent:
        return
    devices = {plan.known[path].device for path in found.files if path in plan.known}
    devices |= {seen.device for seen in found.files.values()} | {stamps.by_path[path][1] for path in found.same}
    for path in absent:
        place = plan.known[path]
        if f"{path}/".startswith(away) or (place.device not in devices and _lies_elsewhere(place)):
            plan.away.append(path)
        else:
            plan.vanished[path] = place


def _lies_elsewhere(place: Known) -> bool:
    """Whether a place that is gone lay on another drive than what is left of its folders: a mount or a link leads
    nowhere now. Only asked where nothing of that drive is seen: its number may have changed.
    """
    folder = os.path.dirname(place.path)  # noqa: PTH120 - paths stay texts here
    while True:
        try:
            return places.seen_from(folder, os.stat(folder)).device != place.device  # noqa: PTH116
        except OSError:
            if folder == (folder := os.path.dirname(folder)):  # noqa: PTH120
                return False


def _take_known(plan: Plan, place: Known, seen: Seen, shown: Set[str]) -> None:
    if place.state == places.MISSING:
        plan.moved.append((place, seen))
        return
    plan.unchanged += 1
    if place.state == places.OFFLINE or place.device != seen.device:
        plan.returned.append(seen)
    if seen.preview and place.sha256 not in shown:
        plan.without_preview.append(seen)


def _look(
    registry: Registry, watch: Watch, wanted: Sequence[Path] | None, *, rehash: bool
) -> tuple[dict[str, Known], Stamps, Walk]:
    """(places known in the scanned folders, but for the files found to be the same; stamps known there; what lies
    there now). With ``rehash`` no file is the same.
    """
    db = registry.db
    scanned = _scanned(registry, wanted)
    roots = {str(root) for root in folders.all_roots(registry)}
    away = [folder for folder in scanned if _is_away(registry, folder, is_root=folder in roots)]
    looked = scanned if wanted else ["/"]
    stamps = places.stamps_under(db, looked)
    beyond = [os.path.realpath(root) for root in sorted(roots.difference(scanned))]
    found = walk(
        [folder for folder in scanned if folder not in away],
        beyond,
        lambda done, total: watch("looking", done, total),
        places.NO_STAMPS if rehash else stamps,
    )
    known = places.known_of(db, list(stamps.by_path.keys() - found.same))
    for folder in looked:
        known |= places.without_stamp(db, folder)
    _leave_out(registry, known, found)
    found.away += away
    found.problems += [Problem(folder, "is away: is its drive connected?") for folder in away]
    if not wanted:
        _look_at_strays(known, scanned, found)
    return known, stamps, found


def _leave_out(registry: Registry, known: dict[str, Known], found: Walk) -> None:
    """Forget the new files that a person wants no scan to import."""
    ignored = Ignoring(registry)
    for path in [path for path in found.files if path not in known and ignored(path)]:
        del found.files[path]
    found.problems += [Problem(path, reason) for path, reason in ignored.problems]


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


def _is_away(registry: Registry, folder: str, *, is_root: bool) -> bool:
    """A root whose drive is not connected shows as no folder, as one that no longer answers, or as an empty one where
    it would be mounted.
    """
    try:
        with os.scandir(folder) as listing:
            return is_root and next(listing, None) is None and places.has_any_under(registry.db, folder)
    except OSError as error:
        return error.errno in _GONE


_GONE = {errno.ENOENT, errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENODEV, errno.ENXIO}


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
                found.away.append(path)
