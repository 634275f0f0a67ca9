"""A remote as this registry knows it."""

from __future__ import annotations

import sqlite3

import msgspec

from hubman.sync.storages.capabilities import Capabilities
from registry.database import Registry
from registry.errors import NotFoundError, UsageError


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """A place to sync with. ``repo`` is its own id, which stays when the place moves; ``part`` is in bytes."""

    name: str
    kind: str
    location: str
    repo: str
    part: int
    options: dict[str, str] = {}
    frozen_to: int = 0
    """The last row of the outbox that was frozen for it."""
    capabilities: Capabilities | None = None
    """What its place can do, as it was tried out last."""
    added_at: str = ""
    synced_at: str | None = None
    head_at: str | None = None
    deep_at: str | None = None
    enc: str = "none"
    """``none``; ``hmac``: what is said is signed; ``age``: everything is encrypted."""
    is_new: bool = False
    """Of one that was added just now: whether the place was empty before."""
    key_check: str = ""
    """By which its key is known (:meth:`hubman.sync.secrecy.repo_key.RepoKey.check`)."""

    @property
    def is_read_only(self) -> bool:
        """Whether this machine only reads there: it has no head, and what is done here stays here."""
        return self.options.get("read_only") == "yes"


def all_remotes(registry: Registry) -> list[Remote]:
    return [_remote(row) for row in registry.db.execute("SELECT * FROM remotes ORDER BY name")]


def find(registry: Registry, name: str = "") -> Remote:
    """The remote of this name, or the only one. Raises :class:`NotFoundError` or :class:`UsageError`."""
    known = all_remotes(registry)
    if not known:
        raise NotFoundError("there is no remote yet", "hubman remote add NAME FOLDER")
    if not name:
        if len(known) > 1:
            raise UsageError(f"there are {len(known)} remotes", f"say which: {', '.join(one.name for one in known)}")
        return known[0]
    for remote in known:
        if remote.name == name:
            return remote
    raise NotFoundError(f"there is no remote {name}", f"there are {', '.join(one.name for one in known)}")


def _remote(row: sqlite3.Row) -> Remote:
    decoded = {name: msgspec.json.decode(row[name]) for name in ("options", "capabilities")}
    return msgspec.convert({**dict(row), **decoded, "capabilities": decoded["capabilities"] or None}, Remote)
