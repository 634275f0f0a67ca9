"""What sync asks of the place where a remote lies: a few operations on small objects and on streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from registry.errors import HubError, UsageError

PIECE = 8 << 20
"""Bytes moved at once, up or down."""


_SEGMENT = re.compile(r"[a-z0-9][a-z0-9._-]*")


class StorageError(HubError):
    """The remote can't be reached, refuses, or holds something that is no object."""


class RefusedError(StorageError):
    """The remote does not let this machine do that; mostly, write."""


class Entry(msgspec.Struct, frozen=True):
    """One object in a listing. ``tag`` changes with the content; None where the place can't promise that."""

    key: str
    size: int
    tag: str | None = None


class Fetched(msgspec.Struct, frozen=True):
    """An object's bytes, with the tag under which a listing would name this content."""

    data: bytes
    tag: str | None = None


class Storage(Protocol):
    """A place for objects, named by keys such as ``log/<device>/<name>`` (:mod:`hubman.sync.records.layout`).

    Every operation raises :class:`StorageError` when its outcome is unknown; "not there" is said only when sure.
    Operations may be called from several threads at once.
    """

    @property
    def concurrency(self) -> int:
        """How many requests at once make this place faster."""

    def get(self, key: str, cap: int) -> Fetched | None:
        """The whole object, or None when there is none. Raises when it is longer than ``cap`` bytes."""

    def read_range(self, key: str, start: int, length: int) -> bytes | memoryview:
        """``length`` bytes from ``start``, or fewer at the end of the object."""

    def size(self, key: str) -> int | None:
        """The object's length in bytes, or None when there is none."""

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """The objects whose keys begin with ``prefix`` (empty, or ends in ``/``) and sort after ``after``; unsorted."""

    def put(self, key: str, data: bytes) -> str | None:
        """Write an object whole or not at all, over an older one; returns its tag."""

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless one is there; False if so."""

    def put_stream(self, key: str, pieces: Iterable[bytes], size: int) -> None:
        """Write ``size`` bytes whole or not at all. An exception out of ``pieces`` leaves nothing behind."""

    def delete(self, key: str) -> None:
        """Remove an object; not being there is fine."""

    def url(self, key: str, seconds: int) -> str | None:
        """An address under which anybody can read the object for so long; None where the place gives none.

        Costs no request, and says nothing of whether the object is there.
        """


def is_safe(segment: str) -> bool:
    """Whether a part of a key is one that every place takes: lower-case ASCII, no separator, no leading dot."""
    return _SEGMENT.fullmatch(segment) is not None


def segments(key: str) -> list[str]:
    """The parts of a key between its slashes. Raises :class:`ValueError` for what no remote's key can be."""
    parts = key.split("/")
    if not all(map(is_safe, parts)):
        raise ValueError(f"{key!r} is no key of a remote")
    return parts


def open_storage(kind: str, location: str, options: Mapping[str, str]) -> Storage:
    """The place that a remote's row describes. Raises :class:`HubError` when it can't be opened."""
    if kind == "folder":
        from pathlib import Path

        from hubman.sync.storages.folder import FolderStorage

        return FolderStorage(Path(location))
    if kind == "cloud":
        from hubman.sync.storages.cloud import open_cloud

        return open_cloud(location, options)
    raise UsageError(f"this version of hubman knows no remote of the kind {kind}", "update hubman")
