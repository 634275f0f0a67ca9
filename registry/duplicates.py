"""Files that are there more than once: found without false alarms, and reduced to one without losing the last or a word.

Three kinds of sets: ``content`` (the same bytes in several places), ``tensors`` (the same weights under different
headers) and ``superseded`` (several versions of one model for one base model).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

import msgspec

from registry import changes, inherit, journal, library, moving, places, projection, timestamps, trash
from registry.database import Registry
from registry.ids import HASHED
from registry.journal import Entry

Kind = Literal["content", "tensors", "superseded"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Rule = Literal["keep-oldest", "keep-newest", "keep-shortest-path"]
RULES: tuple[Rule, ...] = get_args(Rule)


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """One of the files of a set. ``mtime_ns`` is when its content was written."""

    path: str
    sha256: str
    size: int
    mtime_ns: int
    inode: int
    version: str
    model: str
    name: str


class Duplicates(msgspec.Struct, frozen=True):
    """A set of at least two files, none of them a link to another."""

    kind: Kind
    copies: tuple[Copy, ...]


class Resolution(msgspec.Struct, frozen=True):
    """What is to become of a set: one file stays. With a ``problem`` nothing of it is touched."""

    kind: Kind
    kept: Copy
    dropped: tuple[Copy, ...]
    problem: str = ""


_KEY: dict[Kind, str] = {
    "content": "f.sha256",
    "tensors": "f.autov3",
    "superseded": "v.model_id || ' ' || coalesce(v.base_model, '')",
}
_DIFFERS: dict[Kind, str] = {
    "content": "count(DISTINCT p.device || ':' || p.inode)",
    "tensors": "count(DISTINCT f.sha256)",
    "superseded": "count(DISTINCT v.id)",
}
_FROM = (
    "FROM places p JOIN files f ON f.sha256 = p.sha256 JOIN versions v ON v.id = f.version_id "
    "JOIN models m ON m.id = v.model_id WHERE p.state = 'present' AND m.deleted_at IS NULL AND f.damage IS NULL"
    f" AND f.{HASHED}"
)
_HAS_TENSORS = " AND f.autov3 IS NOT NULL AND f.tensor_count > 0"


def find(registry: Registry, kind: Kind, query: str = "") -> list[Duplicates]:
    """The sets of one kind in which a model has a part that the query finds; those that waste most come first."""
    wanted = set(library.model_ids(registry, query)) if query.strip() else None
    # Without tensors all weights are the same nothing.
    source = _FROM + (_HAS_TENSORS if kind == "tensors" else "")
    sql = (
        f"SELECT {_KEY[kind]} AS key, p.path, p.sha256, p.size, p.mtime_ns, p.inode, p.device, v.id AS version, "
        f"m.id AS model, m.name {source} AND key IN (SELECT {_KEY[kind]} {source} GROUP BY 1 HAVING {_DIFFERS[kind]} > 1) "
        "ORDER BY key, p.path"
    )
    groups: dict[str, dict[tuple[int, int], Copy]] = {}
    for row in registry.db.execute(sql):
        values = dict(row)
        # Hard links to one file are one copy: dropping one would free nothing.
        identity = values.pop("device"), values["inode"]
        groups.setdefault(values.pop("key"), {}).setdefault(identity, Copy(**values))
    found = [Duplicates(kind, tuple(copies.values())) for copies in groups.values() if len(copies) > 1]
    shown = [one for one in found if wanted is None or any(copy.model in wanted for copy in one.copies)]
    return sorted(shown, key=lambda one: -sum(copy.size for copy in one.copies[1:]))


_ORDER: dict[Rule, Callable[[Copy], tuple[int, str]]] = {
    "keep-oldest": lambda copy: (copy.mtime_ns, copy.path),
    "keep-newest": lambda copy: (-copy.mtime_ns, copy.path),
    "keep-shortest-path": lambda copy: (len(copy.path), copy.path),
}


def plan(found: Sequence[Duplicates], rule: Rule) -> list[Resolution]:
    """One file of each set to keep. A set of which anything changed since the last scan is left alone."""
    resolutions = []
    for one in found:
        kept, *dropped = sorted(one.copies, key=_ORDER[rule])
        problem = next((f"{copy.path} {why}" for copy in one.copies if (why := _trouble(copy))), "")
        resolutions.append(Resolution(one.kind, kept, tuple(dropped), problem))
    return resolutions


def _trouble(copy: Copy) -> str:
    """Why nothing can be concluded from what the registry says of a file; empty if all is as it says."""
    try:
        status = os.lstat(copy.path)
    except OSError as error:
        return f"can't be read ({error.strerror})"
    if stat.S_ISLNK(status.st_mode):
        return "is a link"
    seen = places.seen_from(copy.path, status)
    is_same = (seen.size, seen.mtime_ns, seen.inode) == (copy.size, copy.mtime_ns, copy.inode)
    return "" if is_same else "changed since the last scan"


def resolve(registry: Registry, resolutions: Sequence[Resolution]) -> Entry | None:
    """Move the files that are not kept into the trash, with what belongs to them, as one entry of the journal.

    What a person said of a version or model that goes is said of the one that stays, where nothing was said. A model
    of which nothing is left here is hidden. Raises :class:`registry.errors.HubError`, with nothing moved, when a file
    can't be. Sets with a problem are left out; every set is looked at once more, and its kept file is never moved.
    """
    sound = [one for one in resolutions if not one.problem and not any(map(_trouble, (one.kept, *one.dropped)))]
    if not sound:
        return None
    kept = {one.kept.path for one in sound}
    paths = [copy.path for one in sound for copy in one.dropped if copy.path not in kept]
    moves = [move for move in trash.plan_paths(registry, paths) if move[0] not in kept]
    items = {item for one in sound for copy in (one.kept, *one.dropped) for item in (copy.version, copy.model)}
    label = f"{len(paths)} duplicate files put into the trash"

    def finish(_: object) -> Entry | None:
        return journal.write(registry, "dupes", label, sorted(items), lambda: _merge(registry, sound), moves=moves)

    return moving.carry_out(registry, moves, finish)


def _merge(registry: Registry, resolutions: Sequence[Resolution]) -> None:
    for one in resolutions:
        for copy in one.dropped:
            made = list(_inherited(registry, one, copy))
            projection.rebuild(registry.db, changes.record(registry.db, made))
            if copy.model != one.kept.model and not _is_here(registry, copy.model):
                library.set_facts(registry, copy.model, "user", {"deleted_at": timestamps.now()})


def _inherited(registry: Registry, one: Resolution, copy: Copy) -> Iterator[changes.Change]:
    if one.kind != "tensors":
        return
    if copy.version != one.kept.version:
        yield from inherit.merging(registry.db, copy.version, one.kept.version)
    if copy.model != one.kept.model:
        yield from inherit.adopting(registry.db, copy.model, one.kept.model)


def _is_here(registry: Registry, model: str) -> bool:
    sql = (
        "SELECT 1 FROM versions v JOIN files f ON f.version_id = v.id JOIN places p ON p.sha256 = f.sha256 "
        "WHERE v.model_id = ? AND p.state <> 'missing'"
    )
    return registry.db.execute(sql, (model,)).fetchone() is not None
