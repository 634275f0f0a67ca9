"""Where fingerprints of LoRAs are kept: a row with their norms, and a file of hubman's folder with their numbers.

Both follow from the model's file alone, so they are a cache: what is lost is made again. The file is written before
the row, so that a row never tells of numbers that are not there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from registry import ids, timestamps
from registry.database import Registry
from registry.errors import HubError


class StoredNorms(msgspec.Struct, frozen=True):
    """What the row of a fingerprint says. ``ranks`` is the sum of its modules' ranks, ``blocks`` are norms by block,
    ``untold`` counts the modules that need the base's weight and are not in it.
    """

    sha256: str
    layout: str
    norm: float
    ranks: int
    blocks: dict[str, float]
    untold: int = 0


class Wanted(msgspec.Struct, frozen=True):
    """A LoRA file without a fingerprint."""

    sha256: str
    path: str


_WANTED = f"""
SELECT f.sha256, min(p.path) FROM files f JOIN places p ON p.sha256 = f.sha256 AND p.state = 'present'
LEFT JOIN fingerprints g ON g.sha256 = f.sha256 AND g.arithmetic = :arithmetic
WHERE f.format = 'safetensors' AND f.network_type IS NOT NULL AND f.damage IS NULL AND f.{ids.HASHED}
AND g.sha256 IS NULL AND f.sha256 NOT IN (SELECT value FROM json_each(:others))
GROUP BY f.sha256 ORDER BY f.size, f.sha256 LIMIT :count
"""  # noqa: S608 - a condition of ours


def wanted(registry: Registry, arithmetic: int, count: int = -1, *, but: Iterable[str] = ()) -> list[Wanted]:
    """The LoRA files that are here and have no fingerprint of this ``arithmetic``, the smallest first; not ``but``."""
    others = msgspec.json.encode(list(but)).decode()
    rows = registry.db.execute(_WANTED, {"arithmetic": arithmetic, "count": count, "others": others})
    return [Wanted(*row) for row in rows]


def put(registry: Registry, arithmetic: int, norms: StoredNorms, modules: Sequence[str], content: bytes) -> None:
    """Keep a fingerprint. Raises :class:`HubError` if the disk refuses."""
    _write(_path(registry, norms.sha256, arithmetic), content)
    with registry.transaction() as db:
        names = msgspec.json.encode(modules).decode()
        db.execute("INSERT OR IGNORE INTO fingerprint_layouts VALUES (?, ?)", (norms.layout, names))
        db.execute(
            "INSERT OR REPLACE INTO fingerprints (sha256, arithmetic, layout, norm, ranks, blocks, untold, at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (norms.sha256, arithmetic, norms.layout, norms.norm, norms.ranks, msgspec.json.encode(norms.blocks).decode(),
             norms.untold, timestamps.now()),
        )  # fmt: skip


def put_problem(registry: Registry, arithmetic: int, sha256: str, problem: str) -> None:
    """Keep that there is none of this content, and why: it is not tried again."""
    with registry.transaction() as db:
        db.execute(
            "INSERT OR REPLACE INTO fingerprints (sha256, arithmetic, problem, at) VALUES (?, ?, ?, ?)",
            (sha256, arithmetic, problem, timestamps.now()),
        )


def problem_of(registry: Registry, sha256: str) -> str:
    """Why there is no fingerprint of a content, empty if nobody tried or there is one."""
    row = registry.db.execute("SELECT problem FROM fingerprints WHERE sha256 = ?", (sha256,)).fetchone()
    return (row[0] or "") if row else ""


_NORMS = """
SELECT g.sha256, g.layout, g.norm, g.ranks, g.blocks, g.untold FROM fingerprints g
WHERE g.arithmetic = ? AND g.problem IS NULL
"""
_NORMS_OF = f"{_NORMS} AND g.sha256 IN (SELECT value FROM json_each(?))"  # noqa: S608 - a condition of ours


def norms(registry: Registry, arithmetic: int, sha256s: Sequence[str]) -> dict[str, StoredNorms]:
    """The rows of these contents, as far as there are any."""
    given = msgspec.json.encode(list(sha256s)).decode()
    return {row[0]: _norms(row) for row in registry.db.execute(_NORMS_OF, (arithmetic, given))}


def all_norms(registry: Registry, arithmetic: int, like: str = "") -> Iterator[StoredNorms]:
    """Every row; with ``like`` (a SHA-256) those of the same architecture as that file's."""
    sql = _NORMS
    given: list[object] = [arithmetic]
    if like:
        sql += (
            " AND g.sha256 IN (SELECT f.sha256 FROM files f WHERE f.architecture IS "
            "(SELECT architecture FROM files WHERE sha256 = ?))"
        )
        given.append(like)
    return (_norms(row) for row in registry.db.execute(sql, given).fetchall())


def architecture(registry: Registry, sha256: str) -> str:
    """Of the model that a file adapts, empty if unknown."""
    row = registry.db.execute("SELECT architecture FROM files WHERE sha256 = ?", (sha256,)).fetchone()
    return (row[0] or "") if row else ""


def state(registry: Registry) -> str:
    """Another text after any fingerprint was kept or lost."""
    return str(tuple(registry.db.execute("SELECT count(*), max(at) FROM fingerprints").fetchone()))


def modules(registry: Registry, layout: str) -> tuple[str, ...]:
    """The names of a layout's modules."""
    row = registry.db.execute("SELECT modules FROM fingerprint_layouts WHERE id = ?", (layout,)).fetchone()
    return tuple(msgspec.json.decode(row[0])) if row else ()


def content(registry: Registry, arithmetic: int, sha256: str) -> bytes | None:
    """The numbers of a fingerprint, None if they are lost."""
    with contextlib.suppress(OSError), _path(registry, sha256, arithmetic).open("rb") as file:
        return file.read()
    return None


def content_into(registry: Registry, arithmetic: int, sha256: str, room: bytearray) -> int:
    """As :func:`content`, into memory that is there already: how many bytes it takes, at most those of ``room``."""
    try:
        with _path(registry, sha256, arithmetic).open("rb", buffering=0) as file:
            return file.readinto(room) or 0
    except OSError:
        return 0


def forget(registry: Registry, sha256: str) -> None:
    """Let a fingerprint be made again."""
    with registry.transaction() as db:
        db.execute("DELETE FROM fingerprints WHERE sha256 = ?", (sha256,))


def names(registry: Registry, sha256s: Iterable[str]) -> Mapping[str, str]:
    """What the models of these contents are called: the model, and its version where it has several."""
    given = msgspec.json.encode(list(sha256s)).decode()
    rows = registry.db.execute(
        "SELECT f.sha256, m.name, v.name, m.versions FROM json_each(?) j JOIN files f ON f.sha256 = j.value "
        "JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id",
        (given,),
    )
    return {row[0]: f"{row[1]} ({row[2]})" if row[3] > 1 and row[2] and row[2] != row[1] else row[1] for row in rows}


def _norms(row: Sequence[Any]) -> StoredNorms:
    return StoredNorms(row[0], row[1], row[2], row[3], msgspec.json.decode(row[4]), row[5])


def _path(registry: Registry, sha256: str, arithmetic: int) -> Path:
    return registry.home / "fingerprints" / sha256[:2] / f"{sha256}.{arithmetic}"


def _write(path: Path, content: bytes) -> None:
    # Not synced: a power cut may leave an empty file, which is found out by its size and made again.
    temporary = path.with_name(f".{ids.new_id()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise HubError(f"{path.parent} can't be written ({error.strerror})", "check the free space") from error
