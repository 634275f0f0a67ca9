"""The listing: one narrow row a model, which queries walk and facets count.

A facet's value is one character (:func:`codes`), so a model's facets are a short text, and counting the facets of any
number of models is counting the characters of their texts put together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from registry import licence, many, whereabouts

if TYPE_CHECKING:
    from registry.known import File

LEVELS = {"unrated": 0, "pg": 1, "pg13": 2, "r": 4, "x": 8, "xxx": 16, "blocked": 32}
"""Browsing levels by name; a model counts by its highest."""

LICENCE = {"sell": 1, "image": 2, "rent": 4, "derivatives": 8, "nocredit": 16, "relicense": 32}
"""What a licence may allow, each a bit of ``listing.licence``; no licence told is NULL."""

LICENCE_OPEN = 8
"""How far the bit of a permission is shifted up where it is one of those that nobody told."""

UNKNOWN = "unknown"

_SOURCE = """
SELECT m.name, m.id, m.search_id AS number, m.deleted_at IS NOT NULL AS deleted, m.rating, m.favourite, m.nsfw_level,
    m.permissions, m.upstream_deleted AS gone, m.added_at, m.kind, m.creator, m.origin, m.alias, m.tag_list,
    coalesce(m.notes, '') <> '' AS noted, coalesce(m.description, '') <> '' AS described,
    m.civitai_id IS NOT NULL OR v.civitai_id IS NOT NULL AS on_civitai, v.rank, v.size, v.strength,
    coalesce(v.published_url, v.hub_url) IS NOT NULL AS published, v.early_until, v.base_model AS base, v.architecture, v.trigger_words,
    coalesce(v.network_type, m.kind) AS type,
    (SELECT json_extract(body, '$.name') FROM records WHERE kind = 'run' AND id = v.id) AS run_name,
    EXISTS (SELECT 1 FROM records WHERE kind = 'run' AND id = v.id) AS recorded,
    (SELECT f.run FROM files f WHERE f.version_id = v.id ORDER BY f.added_at, f.sha256 LIMIT 1) AS named_run,
    CASE WHEN m.versions = 1 THEN v.is_damaged ELSE (SELECT max(w.is_damaged) FROM versions w WHERE w.model_id = m.id) END AS damaged,
    CASE WHEN m.versions = 1 THEN v.preview IS NOT NULL
        ELSE EXISTS (SELECT 1 FROM versions w WHERE w.model_id = m.id AND w.preview IS NOT NULL) END AS pictured,
    m.newest_upstream IS NOT NULL AND coalesce(m.newest_upstream > max((
        SELECT max(w.civitai_id) FROM versions w WHERE w.model_id = m.id), coalesce(
        (SELECT CAST(value AS INTEGER) FROM facts WHERE item = 'ignore/' || m.civitai_id AND field = 'through'
            AND source = 'user'), 0)), 0) AS outdated
FROM json_each(?) j CROSS JOIN models m ON m.id = j.value JOIN versions v ON v.id = m.version_id
"""
# Hard links share an inode and waste nothing; equal tensors under different headers do. A copy on a drive that is away
# is still one, so that plugging drives in and out changes no row; one that is missing here, or only elsewhere, is none.
_TWINS = """
FROM versions w JOIN files f ON f.version_id = w.id JOIN files o ON o.autov3 = f.autov3
    WHERE w.model_id = j.value AND o.sha256 <> f.sha256 AND f.autov3 NOT LIKE 'e3b0c44298fc%'
"""
_IS_HERE = "EXISTS (SELECT 1 FROM places p WHERE p.sha256 = {}.sha256 AND p.state <> 'missing')"
_DUPLICATE = f"""
SELECT j.value AS model, EXISTS (
        SELECT 1 FROM versions w JOIN files f ON f.version_id = w.id JOIN places p ON p.sha256 = f.sha256
        JOIN places o ON o.sha256 = p.sha256 WHERE w.model_id = j.value AND p.state <> 'missing' AND o.state <> 'missing'
        AND (o.device <> p.device OR o.inode <> p.inode))
    OR EXISTS (SELECT 1 {_TWINS} AND {_IS_HERE.format("f")} AND {_IS_HERE.format("o")}) AS duplicate
FROM json_each(?) j
"""  # noqa: S608 - fixed texts
_TWIN_MODELS = """
SELECT DISTINCT x.model_id FROM json_each(?) j CROSS JOIN versions w ON w.model_id = j.value
    JOIN files f ON f.version_id = w.id JOIN files o ON o.autov3 = f.autov3 JOIN versions x ON x.id = o.version_id
    WHERE o.sha256 <> f.sha256 AND f.autov3 NOT LIKE 'e3b0c44298fc%'
"""
_USED = """
SELECT w.model_id, sum(u.times), max(u.last_at) FROM json_each(?) j CROSS JOIN versions w ON w.model_id = j.value
    JOIN files f ON f.version_id = w.id JOIN usage u ON u.sha256 = f.sha256 GROUP BY w.model_id
"""
_SHARED = "SELECT value FROM json_each(?) j WHERE (SELECT count(*) FROM (SELECT 1 FROM files WHERE autov3 = value LIMIT 2)) > 1"
_IN_USE = "SELECT 1 FROM usage"


def rebuild(db: sqlite3.Connection, models: Mapping[str, Sequence[File]]) -> None:
    """Write the rows of models (with all their files) from ``models`` and ``versions``; :func:`remove` the old ones first."""
    asked = many.listed(models)
    used: dict[str, tuple[int, str]] = {}
    if db.execute(_IN_USE).fetchone():
        used = {model: (times, last) for model, times, last in db.execute(_USED, (asked,))}
    here = [model for model, files in models.items() if any(file.places for file in files)]
    duplicate = _duplicates(db, here)
    where = whereabouts.of_models(db, models)
    codes = Codes(db)
    rows = []
    for found in db.execute(_SOURCE, (asked,)).fetchall():
        row = dict(found)
        row["uses"], row["used_at"] = used.get(row["id"], (0, None))
        row["whereabouts"] = where[row["id"]]
        row["duplicate"] = duplicate.get(row["id"], 0)
        rows.append(_row(row, models[row["id"]], codes))
    many.write(db, "listing", rows, key=lambda row: (row["name"].lower(), row["id"]))
    _mark_twins(db, models)


def _duplicates(db: sqlite3.Connection, models: Sequence[str]) -> dict[str, int]:
    return dict(db.execute(_DUPLICATE, (many.listed(models),)).fetchall()) if models else {}


def _row(row: dict[str, Any], files: Sequence[File], codes: Codes) -> dict[str, Any]:
    tags, triggers = _texts(row.pop("tag_list")), _texts(row.pop("trigger_words"))
    places = sorted((path, file.name) for file in files for path, _ in file.places or [("", "")])
    names = [path.rpartition("/")[2] if path else name for path, name in places]
    folders = sorted({folder_of(path) for path, _ in places if path})
    recorded, named = row.pop("run_name"), row.pop("named_run")
    row |= {
        "nsfw": highest_bit(row.pop("nsfw_level")),
        "licence": licence_bits(row.pop("permissions")),
        "year": int(row["added_at"][:4]) if row["added_at"][:4].isdecimal() else None,
        "base_plain": plain_base(row["base"]) if row["base"] else None,
        "run": str(recorded or "") if row["recorded"] else named,
        "tags": _listed(tags),
        "triggers": _listed(triggers),
        "files": _listed(dict.fromkeys(names)),
        "folders": _listed(folders),
    }
    row["facets"] = codes.of(_facets(row, tags, folders))
    return row


def _mark_twins(db: sqlite3.Connection, models: Mapping[str, Sequence[File]]) -> None:
    """What has the same tensors became a duplicate, or is none any more."""
    tensors = {file.autov3 for files in models.values() for file in files if file.autov3}
    shared = {row[0] for row in db.execute(_SHARED, (many.listed(tensors),))}
    if not shared:
        return
    asked = [model for model, files in models.items() if any(file.autov3 in shared for file in files)]
    twins = {row[0] for row in db.execute(_TWIN_MODELS, (many.listed(asked),))} - set(models)
    db.executemany(
        "UPDATE listing SET duplicate = ?2 WHERE number = (SELECT search_id FROM models WHERE id = ?1) AND duplicate <> ?2",
        list(_duplicates(db, sorted(twins)).items()),
    )


def remove(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    db.executemany("DELETE FROM listing WHERE number = ?", [(number,) for number in numbers])


def folder_of(path: str) -> str:
    """The folder of a file with a slash at its end, so that a part of it can be a whole name."""
    return path[: path.rfind("/") + 1]


def highest_bit(level: int) -> int:
    return 1 << (min(level, 63).bit_length() - 1) if level > 0 else 0


@lru_cache(maxsize=256)
def plain_base(name: str) -> str:
    """Only the letters and digits, in lower case: ``SDXL 1.0`` is ``sdxl10``."""
    return "".join(char for char in name.lower() if char.isalnum())


def licence_bits(permissions: str) -> int | None:
    """The bits of :data:`LICENCE` that permissions, as JSON, set, and those left open; None if nothing is told."""
    said = msgspec.json.decode(permissions)
    if not isinstance(said, dict) or not licence.is_known(said):
        return None
    allowed = sum(LICENCE[name] for name, answer in licence.answers(said).items() if answer)
    return allowed | sum(LICENCE[name] for name in licence.unknown(said)) << LICENCE_OPEN


def licence_names(bits: int | None) -> list[str]:
    if bits is None:
        return [UNKNOWN]
    return [name for name, bit in LICENCE.items() if bits & bit] + ([UNKNOWN] if bits >> LICENCE_OPEN else [])


def _facets(row: dict[str, Any], tags: Sequence[str], folders: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield "base", row["base"] or UNKNOWN
    yield "type", row["type"]
    for tag in dict.fromkeys(tags):
        yield "tag", tag
    if row["creator"]:
        yield "creator", row["creator"]
    for folder in folders:
        yield "folder", folder
    for name in licence_names(row["licence"]):
        yield "lic", name
    yield "nsfw", next(name for name, bit in LEVELS.items() if bit == row["nsfw"])
    if row["rank"]:
        yield "rank", str(row["rank"])
    if row["run"]:
        yield "run", row["run"]
    if row["year"]:
        yield "year", str(row["year"])


_SURROGATES = range(0xD800, 0xE000)
_FIRST, _LAST = 0x20, 0x10FFFF


class Codes:
    """A character for each (field, value), the same one each time; values past a million get none."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[str, str], str] = {}

    def of(self, values: Iterable[tuple[str, str]]) -> str:
        known = self._known
        return "".join([known.get(pair) or self._look_up(pair) for pair in values])

    def _look_up(self, pair: tuple[str, str]) -> str:
        row = self._db.execute("SELECT code FROM facet_values WHERE field = ? AND value = ?", pair).fetchone()
        code = row[0] if row else self._db.execute(_NEW_VALUE, pair).lastrowid
        self._known[pair] = found = character(int(code or 0))
        return found


_NEW_VALUE = "INSERT INTO facet_values (field, value) VALUES (?, ?)"


def character(code: int) -> str:
    number = _FIRST + code
    if number >= _SURROGATES.start:
        number += len(_SURROGATES)
    return chr(number) if number <= _LAST else ""


def _texts(encoded: str) -> list[str]:
    return [" ".join(value.split()) for value in msgspec.json.decode(encoded, type=list[str])]


def _listed(values: Iterable[str]) -> bytes:
    """Values between line feeds, so that ``instr`` can ask for a whole one, its beginning or a part of it."""
    joined = "\n".join(value.replace("\n", " ") for value in values)
    return folded(f"\n{joined}\n") if joined else b""


def folded(text: str) -> bytes:
    """``text`` without its case, as the listing's lists hold it."""
    return text.casefold().encode("utf-8", "replace")
