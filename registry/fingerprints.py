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

ARITHMETIC = 1
"""Which one fingerprints are made by: those of another can't be compared and are made again."""


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
WHERE f.format = 'safetensors' AND f.network_type IS NOT NULL AND f.{ids.HASHED}
AND g.sha256 IS NULL AND f.sha256 NOT IN (SELECT value FROM json_each(:others))
GROUP BY f.sha256 ORDER BY f.size, f.sha256 LIMIT :count
"""  # noqa: S608 - a condition of ours


def wanted(registry: Registry, count: int = -1, *, but: Iterable[str] = ()) -> list[Wanted]:
    """The LoRA files that are here and have no fingerprint of this arithmetic, the smallest first; not ``but``."""
    others = msgspec.json.encode(list(but)).decode()
    rows = registry.db.execute(_WANTED, {"arithmetic": ARITHMETIC, "count": count, "others": others})
    return [Wanted(*row) for row in rows]


def put(registry: Registry, norms: StoredNorms, modules: Sequence[str], content: bytes) -> None:
    """Keep a fingerprint. Raises :class:`HubError` if the disk refuses."""
    _write(_path(registry, norms.sha256), content)
    with registry.transaction() as db:
        names = msgspec.json.encode(modules).decode()
        db.execute("INSERT OR IGNORE INTO fingerprint_layouts VALUES (?, ?)", (norms.layout, names))
        db.execute(
            "INSERT OR REPLACE INTO fingerprints (sha256, arithmetic, layout, norm, ranks, blocks, untold, at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (norms.sha256, ARITHMETIC, norms.layout, norms.norm, norms.ranks, msgspec.json.encode(norms.blocks).decode(),
             norms.untold, timestamps.now()),
        )  # fmt: skip


def put_problem(registry: Registry, sha256: str, problem: str) -> None:
    """Keep that there is none of this content, and why: it is not tried again."""
    with registry.transaction() as db:
        db.execute(
            "INSERT OR REPLACE INTO fingerprints (sha256, arithmetic, problem, at) VALUES (?, ?, ?, ?)",
            (sha256, ARITHMETIC, problem, timestamps.now()),
        )


_NORMS = """
SELECT g.sha256, g.layout, g.norm, g.ranks, g.blocks, g.untold FROM fingerprints g
WHERE g.arithmetic = ? AND g.problem IS NULL
"""
_NORMS_OF = f"{_NORMS} AND g.sha256 IN (SELECT value FROM json_each(?))"  # noqa: S608 - a condition of ours


def norms(registry: Registry, sha256s: Sequence[str]) -> dict[str, StoredNorms]:
    """The rows of these contents, as far as there are any."""
    given = msgspec.json.encode(list(sha256s)).decode()
    return {row[0]: _norms(row) for row in registry.db.execute(_NORMS_OF, (ARITHMETIC, given))}


def all_norms(registry: Registry) -> Iterator[StoredNorms]:
    """Every row."""
    return (_norms(row) for row in registry.db.execute(_NORMS, (ARITHMETIC,)).fetchall())


_SIZES = """
SELECT g.norm, g.blocks FROM fingerprints g CROSS JOIN files f ON f.sha256 = g.sha256
WHERE g.arithmetic = ? AND g.problem IS NULL AND f.architecture = ?
"""


def norms_of_architecture(registry: Registry, architecture: str) -> Iterator[tuple[float, dict[str, float]]]:
    """The norm of each LoRA of an architecture, and its norms by block."""
    rows = registry.db.execute(_SIZES, (ARITHMETIC, architecture)).fetchall()
    return ((norm, msgspec.json.decode(blocks)) for norm, blocks in rows)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a LoRA moves the weights at strength 1, and how many of ``others``, all of its architecture, do less."""

    norm: float
    less: int
    others: int


def standing(registry: Registry, sha256: str) -> Standing | None:
    """Where a file stands among the LoRAs of its architecture; None without a fingerprint."""
    own = norms(registry, [sha256]).get(sha256)
    if own is None:
        return None
    less, all_ = registry.db.execute(
        "SELECT count(*) FILTER (WHERE g.norm < ?), count(*) FROM fingerprints g CROSS JOIN files f ON f.sha256 = g.sha256 "
        "WHERE g.arithmetic = ? AND g.problem IS NULL AND f.architecture = ?",
        (own.norm, ARITHMETIC, architecture(registry, sha256)),
    ).fetchone()
    return Standing(norm=own.norm, less=less, others=max(0, all_ - 1))


def architecture(registry: Registry, sha256: str) -> str:
    """Of the model that a file adapts, empty if unknown."""
    row = registry.db.execute("SELECT architecture FROM files WHERE sha256 = ?", (sha256,)).fetchone()
    return (row[0] or "") if row else ""


def count(registry: Registry) -> int:
    """How many files were looked at."""
    return int(registry.db.execute("SELECT count(*) FROM fingerprints").fetchone()[0])


def modules(registry: Registry, layout: str) -> tuple[str, ...]:
    """The names of a layout's modules."""
    row = registry.db.execute("SELECT modules FROM fingerprint_layouts WHERE id = ?", (layout,)).fetchone()
    return tuple(msgspec.json.decode(row[0])) if row else ()


def content(registry: Registry, sha256: str) -> bytes | None:
    """The numbers of a fingerprint, None if they are lost."""
    with contextlib.suppress(OSError), _path(registry, sha256).open("rb") as file:
        return file.read()
    return None


def content_into(registry: Registry, sha256: str, room: bytearray) -> int:
    """As :func:`content`, into memory that is there already: how many bytes it takes, at most those of ``room``."""
    try:
        with _path(registry, sha256).open("rb", buffering=0) as file:
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


def _path(registry: Registry, sha256: str) -> Path:
    return registry.home / "fingerprints" / sha256[:2] / f"{sha256}.{ARITHMETIC}"


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
