"""Try out what the place of a remote can do, on small objects; its name and its maker's claims are not asked.

Stores differ: some ignore every condition, Ceph 16 compares tags only without their quotes and deletes whatever the tag.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import Literal, Protocol, runtime_checkable

from hubman.sync.storages.capabilities import Capabilities
from hubman.sync.storages.cloud import CloudStorage
from hubman.sync.storages.folder import FolderStorage
from hubman.sync.storages.storage import Storage, StorageError
from registry import timestamps

_SECONDS = 60
_BODY = b"0123456789"


@runtime_checkable
class Conditional(Protocol):
    """A place that takes conditions and signs addresses, if its server does."""

    def replace(self, key: str, data: bytes, tag: str) -> bool: ...

    def signed(self, method: Literal["GET", "DELETE"], key: str, seconds: int) -> str | None: ...


def probe(storage: Storage) -> Capabilities:
    """Try everything on two objects in ``probe/``, which are removed at once. About fifteen requests.

    Raises :class:`StorageError`; :class:`hubman.sync.storages.storage.RefusedError` where this machine may not write.
    """
    first = f"probe/{secrets.token_hex(8)}a"
    second = first[:-1] + "b"
    try:
        creates = storage.create(first, _BODY) and not storage.create(first, b"other")
        storage.put(second, _BODY)
        listed = {entry.key for entry in storage.entries("probe/", first)}
        fetched = storage.get(second, len(_BODY))
        return Capabilities(
            probed_at=timestamps.now(),
            creates_once=creates and not (isinstance(storage, FolderStorage) and storage.lacks_links),
            compares=_compares(storage, second),
            reads_ranges=storage.read_range(first, 2, 3) == _BODY[2:5]
            and not (isinstance(storage, CloudStorage) and not storage.has_ranges),
            lists_after=second in listed and first not in listed,
            reads_own_writes=fetched is not None and fetched.data == _BODY,
            gives_addresses=_gives_addresses(storage, first),
            deletes_by_tag=_deletes_by_tag(storage, first),
        )
    finally:
        for key in (first, second):
            with contextlib.suppress(StorageError):
                storage.delete(key)


def _compares(storage: Storage, key: str) -> Literal["quoted", "unquoted", "both", "never"]:
    if not isinstance(storage, Conditional):
        return "never"
    if _replaces(storage, key, '"0123"') or _replaces(storage, key, "0123"):
        return "never"
    taken = {name: _replaces(storage, key, tag) for name in ("quoted", "unquoted") if (tag := _tag(storage, key, name))}
    if all(taken.values()) and len(taken) > 1:
        return "both"
    if taken.get("quoted"):
        return "quoted"
    return "unquoted" if taken.get("unquoted") else "never"


def _replaces(storage: Conditional, key: str, tag: str) -> bool:
    # Some stores answer a malformed or unknown condition with an error instead of a refusal.
    with contextlib.suppress(StorageError):
        return storage.replace(key, secrets.token_bytes(8), tag)
    return False


def _tag(storage: Storage, key: str, form: str) -> str | None:
    fetched = storage.get(key, 64)
    if fetched is None or fetched.tag is None:
        return None
    bare = fetched.tag.strip('"')
    return f'"{bare}"' if form == "quoted" else bare


def _gives_addresses(storage: Storage, key: str) -> bool:
    import httpx

    address = storage.url(key, _SECONDS)
    if address is None:
        return False
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(address).content == _BODY
    return False


def _deletes_by_tag(storage: Storage, key: str) -> bool:
    import httpx

    address = storage.signed("DELETE", key, _SECONDS) if isinstance(storage, Conditional) else None
    if address is None:
        return False
    with contextlib.suppress(httpx.HTTPError):
        httpx.delete(address, headers={"If-Match": '"0123"'})
        return storage.size(key) is not None
    return False
