"""Which file a picture means by a hash or a name: by hash first, then by Civitai's number, then by name.

What fits several files counts for none of them, and says so. Whatever was not found by its hash is looked at again
when files come and go, so a file that is indexed later gets the pictures that were drawn with it before.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from registry import usage
from registry.database import Registry

EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing, which repackagers write as the hash of tensors: unrelated models share it."""

_SHORTEST = 8
_SUFFIX = re.compile(r"\.(?:safetensors|sft|ckpt|pt|pth|bin|gguf)$", re.IGNORECASE)


class Match(msgspec.Struct, frozen=True):
    """A file's SHA-256 and by what it was found: ``hash``, ``civitai`` or ``name``; or none, and the ``problem``."""

    sha256: str | None = None
    found_by: str = ""
    problem: str = ""


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """A name that fits no file or several, with the number of pictures that have it."""

    kind: str
    name: str
    hash: str
    times: int
    problem: str


@dataclass
class _File:
    sha256: str
    model: str
    kind: str
    tensors: str | None
    paths: list[str]
    """Where it lies on this machine, with slashes and without its ending."""


@dataclass
class _Index:
    """All files by what a picture may call them; names are as :func:`plain_name` makes them."""

    files: dict[str, _File] = field(default_factory=dict)
    hashes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """First eight digits to (hash, SHA-256 of the file)."""
    stems: dict[str, set[str]] = field(default_factory=dict)
    """Names of files that are somewhere on this machine."""
    past_stems: dict[str, set[str]] = field(default_factory=dict)
    """Names of files that lie elsewhere, or lay here."""
    aliases: dict[str, set[str]] = field(default_factory=dict)
    numbers: dict[int, set[str]] = field(default_factory=dict)


def refresh(registry: Registry) -> list[Unmatched]:
    """Find the files of all names that were not found by hash, and count anew what changed; what still has no file.

    Deterministic: the result follows from the pictures and the files that there are, not from their order.
    """
    rows = registry.db.execute(
        "SELECT id, kind, name, hash, civitai_id, sha256, found_by, problem FROM image_resources WHERE found_by <> 'hash'"
    ).fetchall()
    if not rows:
        return []
    index = _index(registry.db)
    changed: set[str] = set()
    with registry.transaction() as db:
        for row in rows:
            used = usage.Used(kind=row["kind"], name=row["name"], hash=row["hash"], civitai_id=row["civitai_id"])
            match = _match(index, used)
            if (match.sha256, match.found_by, match.problem) != (row["sha256"], row["found_by"], row["problem"]):
                db.execute(
                    "UPDATE image_resources SET sha256 = ?, found_by = ?, problem = ? WHERE id = ?",
                    (match.sha256, match.found_by, match.problem, row["id"]),
                )
                if match.sha256 != row["sha256"]:
                    changed |= {sha256 for sha256 in (match.sha256, row["sha256"]) if sha256}
        usage.recount(db, changed)
    return unmatched(registry)


def unmatched(registry: Registry) -> list[Unmatched]:
    """What pictures name and no single file fits, the most frequent first."""
    rows = registry.db.execute(
        "SELECT kind, name, hash, problem, count(*) AS times FROM image_resources r JOIN image_uses u ON u.resource = r.id "
        "WHERE sha256 IS NULL GROUP BY r.id ORDER BY times DESC, kind, name, hash"
    )
    return [Unmatched(**dict(row)) for row in rows]


def plain_name(name: str) -> str:
    r"""A name with its folders, without an ending, in one case: ``Style\Ink.safetensors`` is ``style/ink``."""
    return _without_ending(name).casefold()


def _without_ending(name: str) -> str:
    return _SUFFIX.sub("", name.strip()).replace("\\", "/").strip("/")


# matching ---------------------------------------------------------------------------------------------------------


def _match(index: _Index, used: usage.Used) -> Match:
    problems = []
    for found_by, found in (
        ("hash", _by_hash(index, used.hash)),
        ("civitai", index.numbers.get(used.civitai_id, set()) if used.civitai_id else set()),
        ("name", _by_name(index, used)),
    ):
        one = _single(index, found, used)
        if one:
            return Match(one, found_by)
        if found:
            problems.append(_several(index, found))
    return Match(problem=problems[0] if problems else "")


def _by_hash(index: _Index, value: str) -> set[str]:
    if len(value) < _SHORTEST or EMPTY_HASH.startswith(value):
        return set()
    return {sha256 for full, sha256 in index.hashes.get(value[:_SHORTEST], ()) if full.startswith(value)}


def _by_name(index: _Index, used: usage.Used) -> set[str]:
    name = _without_ending(used.name)
    stem = name.casefold().rpartition("/")[2]
    for names in (index.stems, index.aliases, index.past_stems):
        found = {sha256 for sha256 in names.get(stem, ()) if index.files[sha256].kind in {used.kind, "other"}}
        if found:
            folded = {sha256 for sha256 in found if _lies_at(index.files[sha256], name.casefold(), str.casefold)}
            exact = {sha256 for sha256 in found if _lies_at(index.files[sha256], name, str)}
            return exact or folded or found
    return set()


def _lies_at(file: _File, name: str, form: Callable[[str], str]) -> bool:
    """Whether the name, with the folders that it gives, ends one of the file's paths."""
    return any(form(f"/{path}").endswith(f"/{name}") for path in file.paths)


def _single(index: _Index, found: set[str], used: usage.Used) -> str | None:
    """The one file of those found, or the one that also has the name; of one model's equal weights any."""
    if len(found) > 1:
        found = found & _by_name(index, used) or found
    same = {(index.files[sha256].model, index.files[sha256].tensors or sha256) for sha256 in found}
    return min(found) if len(same) == 1 else None


def _several(index: _Index, found: set[str]) -> str:
    names = sorted(next(iter(index.files[sha256].paths), sha256[:12]) for sha256 in found)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"fits {len(names)} files: {', '.join(names[:3])}{more}"


# the index --------------------------------------------------------------------------------------------------------

_FILES = """
SELECT f.sha256, f.name, f.autov1, f.autov3, f.blake3, f.crc32, v.model_id, v.civitai_id, m.kind, m.alias
FROM files f JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id
"""


def _index(db: sqlite3.Connection) -> _Index:
    index = _Index()
    for sha256, name, autov1, autov3, blake3, crc32, model, number, kind, alias in db.execute(_FILES):
        index.files[sha256] = _File(sha256, model, kind, autov3, [])
        for value in filter(None, (sha256, autov1, autov3, blake3, crc32)):
            full = value.lower()
            if not EMPTY_HASH.startswith(full):
                index.hashes.setdefault(full[:_SHORTEST], []).append((full, sha256))
        _put(index.past_stems, plain_name(name), sha256)
        if alias:
            _put(index.aliases, plain_name(alias), sha256)
        if number:
            index.numbers.setdefault(number, set()).add(sha256)
    for sha256, path, state in db.execute(
        "SELECT sha256, path, state FROM places WHERE sha256 IS NOT NULL ORDER BY path"
    ):
        file = index.files.get(sha256)
        if file is not None:
            file.paths.append(_SUFFIX.sub("", path.replace("\\", "/")))
            stem = file.paths[-1].casefold().rpartition("/")[2]
            _put(index.past_stems if state == "missing" else index.stems, stem, sha256)
    return index


def _put(names: dict[str, set[str]], key: str, sha256: str) -> None:
    names.setdefault(key, set()).add(sha256)
