"""The files of the library by what pictures may call them: hashes of all kinds, Civitai's numbers, names."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from registry.ids import HASHED
from registry.usage import Used

EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing, which repackagers write as the hash of tensors: unrelated models share it."""

SHORTEST = 8
"""Digits of the shortest hash that means a file."""

_ENDINGS = frozenset({"safetensors", "sft", "ckpt", "pt", "pth", "bin", "gguf"})


@dataclass(frozen=True)
class File:
    """``tensors`` is the hash of its tensors; ``paths`` are where it lies here, as :func:`without_ending` makes them."""

    model: str
    kind: str
    tensors: str | None
    paths: tuple[str, ...]


@dataclass
class Index:
    """Of all files those that one of some uses may mean: of a large library a small part, and the rest costs little.

    Names are as :func:`stem` makes them; values are SHA-256s.
    """

    wanted_names: frozenset[str]
    wanted_hashes: frozenset[str]
    wanted_numbers: frozenset[int]
    files: dict[str, File] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    """Of files that lie somewhere on this machine."""
    aliases: dict[str, set[str]] = field(default_factory=dict)
    past_names: dict[str, set[str]] = field(default_factory=dict)
    """Of files that lie elsewhere, or lay here."""
    hashes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """First :data:`SHORTEST` digits to (hash, SHA-256)."""
    numbers: dict[int, set[str]] = field(default_factory=dict)

    def add(self, row: tuple[Any, ...], lying: Iterable[tuple[str, str]]) -> None:
        """Take in a row of ``_FILES``, unless nothing wanted means it; ``lying`` are (path, state)."""
        sha256, name, *hashes, model, number, kind, alias = row
        lying = list(lying)
        names = [(self.past_names, stem(name)), (self.aliases, stem(alias or ""))]
        names += [(self.past_names if state == "missing" else self.names, stem(path)) for path, state in lying]
        called = [(by, one) for by, one in names if one in self.wanted_names]
        known = [value.lower() for value in (sha256, *hashes) if value]
        hashed = [full for full in known if full[:SHORTEST] in self.wanted_hashes and not EMPTY_HASH.startswith(full)]
        if not (called or hashed or number in self.wanted_numbers):
            return
        self.files[sha256] = File(model, kind, hashes[1], tuple(without_ending(path) for path, _ in lying))
        for by, one in called:
            by.setdefault(one, set()).add(sha256)
        for full in hashed:
            self.hashes.setdefault(full[:SHORTEST], []).append((full, sha256))
        if number in self.wanted_numbers:
            self.numbers.setdefault(number, set()).add(sha256)


_FILES = """
SELECT f.sha256, f.name, f.autov1, f.autov3, f.blake3, f.crc32, v.model_id, v.civitai_id, m.kind, m.alias
FROM files f JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id
"""
_PLACES = "SELECT sha256, path, state FROM places WHERE sha256 IS NOT NULL"


def of_all(db: sqlite3.Connection, wanted: Iterable[Used]) -> Index:
    """The files of the library that the uses may mean."""
    index = _empty(wanted)
    cursor = db.cursor()
    cursor.row_factory = None
    lying: dict[str, list[tuple[str, str]]] = {}
    for sha256, path, state in cursor.execute(f"{_PLACES} ORDER BY path"):
        lying.setdefault(sha256, []).append((path, state))
    for row in cursor.execute(f"{_FILES} WHERE f.{HASHED}"):
        index.add(row, lying.get(row[0], ()))
    return index


def may_mean(db: sqlite3.Connection, wanted: Iterable[Used], files: Iterable[str]) -> bool:
    """Whether one of the uses may mean one of these files (SHA-256s)."""
    index = _empty(wanted)
    for sha256 in files:
        lying = [(path, state) for _, path, state in db.execute(f"{_PLACES} AND sha256 = ?", (sha256,))]
        for row in db.execute(f"{_FILES} WHERE f.sha256 = ?", (sha256,)):
            index.add(tuple(row), lying)
        if index.files:
            return True
    return False


def _empty(wanted: Iterable[Used]) -> Index:
    uses = list(wanted)
    return Index(
        frozenset(stem(used.name) for used in uses) - {""},
        frozenset(used.hash[:SHORTEST] for used in uses if used.hash),
        frozenset(used.civitai_id for used in uses if used.civitai_id),
    )


def without_ending(name: str) -> str:
    r"""``Style\Ink.safetensors`` is ``Style/Ink``."""
    path = name.strip().replace("\\", "/").rstrip("/")
    start, _, ending = path.rpartition(".")
    return start if ending.lower() in _ENDINGS else path


def stem(name: str) -> str:
    """A file's name in one case, without folders and ending."""
    return without_ending(name).rpartition("/")[2].casefold()
