"""Which file a picture means by a hash or a name: by hash first, then by Civitai's number, then by name.

What fits several files counts for none of them, and says so. Whatever was not found by its hash is looked at again
when files come and go, so a file that is indexed later gets the pictures that were drawn with it before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

import msgspec

from registry import usage, usage_index
from registry.database import Registry
from registry.usage import Used
from registry.usage_index import EMPTY_HASH, SHORTEST, File, Index


class Match(msgspec.Struct, frozen=True):
    """A file's SHA-256 and by what it was found: ``hash``, ``civitai`` or ``name``; or none, and the ``problem``."""

    sha256: str | None = None
    found_by: str = ""
    problem: str = ""


class Named(msgspec.Struct, frozen=True):
    """The file that a picture's name and hash mean for someone who draws: its SHA-256, or none and the ``problem``.

    ``elsewhere`` says that the hash is of another file than the name.
    """

    sha256: str | None = None
    problem: str = ""
    elsewhere: bool = False


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """A name that fits no file or several, with the number of pictures that have it."""

    kind: str
    name: str
    hash: str
    times: int
    problem: str


_OPEN = (
    "SELECT id, kind, name, hash, civitai_id, sha256, found_by, problem FROM image_resources WHERE found_by <> 'hash'"
)


def appeared(registry: Registry, files: Iterable[str]) -> None:
    """To be called with the SHA-256s of files that were indexed, moved or renamed: a :func:`refresh` if it may matter.

    Looking at a few files first costs nothing against looking at all of a large library for one that was pulled.
    """
    rows = registry.db.execute(_OPEN).fetchall()
    if rows and usage_index.may_mean(registry.db, map(_used, rows), files):
        refresh(registry)


def refresh(registry: Registry) -> list[Unmatched]:
    """Find the files of all names that were not found by hash, and count anew what changed; what still has no file.

    Deterministic: the result follows from the pictures and the files that there are, not from their order.
    """
    rows = registry.db.execute(_OPEN).fetchall()
    if not rows:
        return []
    index = usage_index.of_all(registry.db, map(_used, rows))
    changed: set[str] = set()
    with registry.transaction() as db:
        for row in rows:
            match = _match(index, _used(row))
            if (match.sha256, match.found_by, match.problem) != (row["sha256"], row["found_by"], row["problem"]):
                db.execute(
                    "UPDATE image_resources SET sha256 = ?, found_by = ?, problem = ? WHERE id = ?",
                    (match.sha256, match.found_by, match.problem, row["id"]),
                )
                if match.sha256 != row["sha256"]:
                    changed |= {sha256 for sha256 in (match.sha256, row["sha256"]) if sha256}
        usage.recount(db, changed)
    return unmatched(registry)


def _used(row: sqlite3.Row) -> Used:
    return Used(kind=row["kind"], name=row["name"], hash=row["hash"], civitai_id=row["civitai_id"])


def unmatched(registry: Registry) -> list[Unmatched]:
    """What pictures name and no single file fits, the most frequent first."""
    rows = registry.db.execute(
        "SELECT kind, name, hash, problem, count(*) AS times FROM image_resources r JOIN image_uses u ON u.resource = r.id "
        "WHERE sha256 IS NULL GROUP BY r.id ORDER BY times DESC, kind, name, hash"
    )
    return [Unmatched(**dict(row)) for row in rows]


def named(registry: Registry, used: Used, *, trust_hash: bool = False) -> Named:
    """The file to draw with: a name of this machine beats a hash that points elsewhere, unless ``trust_hash``.

    A hash anyone can write, also that of a stranger's file; where name and hash agree there is no doubt.
    """
    index = usage_index.of_all(registry.db, [used])
    by_hash, by_name = _by_hash(index, used.hash), _by_name(index, used)
    is_told = len(used.hash) >= SHORTEST and not EMPTY_HASH.startswith(used.hash)
    elsewhere = bool(by_name) and is_told and not by_hash & by_name
    found = by_hash & by_name or ((by_hash or by_name) if trust_hash else (by_name or by_hash))
    one = _single(index, found, used)
    return Named(one, "" if one or not found else _several(index, found), elsewhere)


# matching ---------------------------------------------------------------------------------------------------------


def _match(index: Index, used: Used) -> Match:
    for found_by, found in (
        ("hash", _by_hash(index, used.hash)),
        ("civitai", index.numbers.get(used.civitai_id, set()) if used.civitai_id else set()),
        ("name", _by_name(index, used)),
    ):
        one = _single(index, found, used)
        if one:
            return Match(one, found_by)
        if found:
            # Whatever else it says: it can't be a file that has another hash than these.
            return Match(problem=_several(index, found))
    return Match()


def _by_hash(index: Index, value: str) -> set[str]:
    if len(value) < SHORTEST or EMPTY_HASH.startswith(value):
        return set()
    return {sha256 for full, sha256 in index.hashes.get(value[:SHORTEST], ()) if full.startswith(value)}


def _by_name(index: Index, used: Used) -> set[str]:
    name = usage_index.without_ending(used.name).lstrip("/")
    for names in (index.names, index.aliases, index.past_names):
        found = {
            sha256
            for sha256 in names.get(usage_index.stem(name), ())
            if index.files[sha256].kind in {used.kind, "other"}
        }
        if found:
            folded = {sha256 for sha256 in found if _lies_at(index.files[sha256], name.casefold(), str.casefold)}
            exact = {sha256 for sha256 in found if _lies_at(index.files[sha256], name, str)}
            return exact or folded or found
    return set()


def _lies_at(file: File, name: str, form: Callable[[str], str]) -> bool:
    """Whether the name, with the folders that it gives, ends one of the file's paths."""
    return any(form(f"/{path}").endswith(f"/{name}") for path in file.paths)


def _single(index: Index, found: set[str], used: Used) -> str | None:
    """The one file of those found, or the one that also has the name; of one model's equal weights any."""
    if len(found) > 1:
        found = found & _by_name(index, used) or found
    same = {(index.files[sha256].model, index.files[sha256].tensors or sha256) for sha256 in found}
    return min(found) if len(same) == 1 else None


def _several(index: Index, found: set[str]) -> str:
    names = sorted(next(iter(index.files[sha256].paths), sha256[:12]) for sha256 in found)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"fits {len(names)} files: {', '.join(names[:3])}{more}"
