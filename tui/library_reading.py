"""What the library's list and facets show, read by a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.database import Registry
    from registry.records import ModelRow

FIRST = 200
"""Rows of a new query that are shown before all of them are known."""


class Found(NamedTuple):
    """What a query found, of how many models, and when the disk was last looked at."""

    ids: list[str]
    total: int
    checked_at: str
    is_shared: bool
    """Whether other machines, or a remote, have a part in it."""
    now: dict[str, tuple[str, str]]
    """What the ids of files that waited for their hash, among those that the screen held, are now: (model, version)."""


def rows(registry: Registry, ids: Sequence[str]) -> list[ModelRow]:
    from registry import library

    return library.model_rows(registry, ids)


def ids(registry: Registry, text: str, held: Sequence[str]) -> Found:
    from registry import library

    return _found(registry, library.model_ids(registry, text), held)


def first_ids(registry: Registry, text: str, held: Sequence[str]) -> Found:
    from registry import library

    return _found(registry, library.first_ids(registry, text, FIRST), held)


def _found(registry: Registry, ids: list[str], held: Sequence[str]) -> Found:
    from hubman.sync.policies import holders
    from registry import library, settled

    now = settled.now_of(registry.db, held)
    return Found(ids, library.count(registry), library.checked_at(registry), holders.is_shared(registry), now)


def facets(registry: Registry, text: str) -> dict[str, list[tuple[str, int]]]:
    from registry import facets

    return facets.facets(registry, text)
