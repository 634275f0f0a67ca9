"""What a device keeps of the collection: metadata always, pictures and weights as it likes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

import hubman
from registry import blobs, changes, clock, here, library, projection, views
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from registry.query import Query, compile_query

if TYPE_CHECKING:
    from hubman.sync.queue import Kind, Wanted

PINS = "pins"
"""The set on a device's id that holds the versions whose weights it keeps."""

QUERY = "query:"
"""How ``weights`` begins where a query line, which follows, says which."""

Previews = Literal["all", "thumbs", "none"]
Upload = Literal["yes", "no"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What a device fetches, keeps and sends by itself. What a person asks for by hand comes whatever this says."""

    previews: Previews = "all"
    """Pictures: all, of each version the first one, which lists show small, or none."""
    weights: str = "all"
    """``all``, ``pinned``, ``none``, or ``query:`` and a line such as ``base:sdxl rating:>=4``. Pins come with each but none."""
    limit: int | None = None
    """Bytes of weights that may lie here before what sync fetched and nobody pinned is dropped, the oldest use first."""
    upload: Upload = "yes"
    """Whether weights that are here go up."""
    rate_up: int | None = None
    """Bytes a second at most, None for no limit; so is ``rate_down``."""
    rate_down: int | None = None
    window: str = ""
    """``01:00-07:00``, by this machine's clock, when files are moved; empty for always."""

    def looks_at_all(self, kind: Kind) -> bool:
        """Whether what it asks for of such blobs follows from all of the collection, not from one change."""
        if kind == "picture":
            return self.previews == "thumbs"
        return self.limit is not None or self.weights.startswith(QUERY)


PRESETS = {
    "workstation": Policy(),
    "laptop": Policy(previews="thumbs", weights="pinned"),
    "rented": Policy(previews="none", weights="query:is:fav"),
}
"""Policies by name; ``rented`` is for a machine that lives for a day, where another query may be a better one."""

_WINDOW = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")
_MOST = 1 << 62


def _is_count(value: object) -> bool:
    return value is None or (type(value) is int and 0 < value < _MOST)


_FITS: dict[str, Callable[[Any], bool]] = {
    "previews": lambda value: value in {"all", "thumbs", "none"},
    "weights": lambda value: value in {"all", "pinned", "none"} or (value.startswith(QUERY) and len(value) < 2000),
    "limit": _is_count,
    "upload": lambda value: value in {"yes", "no"},
    "rate_up": _is_count,
    "rate_down": _is_count,
    "window": lambda value: value == "" or _WINDOW.fullmatch(value) is not None,
}


def read(said: object) -> Policy:
    """A policy out of what a ``dev`` change says; each part that this version can't read counts as its default."""
    known = said if isinstance(said, dict) else {}
    parts: dict[str, Any] = {}
    for name, fits in _FITS.items():
        try:
            if name in known and fits(known[name]):
                parts[name] = known[name]
        except (TypeError, AttributeError):
            continue
    return Policy(**parts)


def check(registry: Registry, policy: Policy) -> None:
    """Raises :class:`UsageError` for a policy that makes no sense, and for a query line that does not compile."""
    examples = {
        "weights": "all, pinned, none or query:base:sdxl", "limit": "200GB", "rate_up": "5MB", "rate_down": "5MB",
        "window": "01:00-07:00", "previews": "all, thumbs or none", "upload": "yes or no",
    }  # fmt: skip
    for name, fits in _FITS.items():
        if not fits(getattr(policy, name)):
            raise UsageError(f"{name.replace('_', '-')} can't be {getattr(policy, name)!r}", f"use {examples[name]}")
    if policy.weights.startswith(QUERY):
        compile_query(_line(policy), views=views.own(registry))


def of_device(db: sqlite3.Connection, device: str) -> Policy:
    """A device's policy; the default for one that is not known."""
    row = db.execute("SELECT policy FROM devices WHERE id = ?", (device,)).fetchone()
    return read(msgspec.json.decode(row[0])) if row else Policy()


def set_policy(registry: Registry, policy: Policy, device: str = "") -> None:
    """Change a device's policy, by default this machine's; the device itself obeys from its next sync on.

    Raises :class:`UsageError` for one that makes no sense (:func:`check`), :class:`NotFoundError` for no such device.
    """
    from hubman.sync.policies import keeping

    check(registry, policy)
    with registry.transaction() as db:
        own = clock.device_id(db)
        if device and not db.execute("SELECT 1 FROM devices WHERE id = ?", (device,)).fetchone():
            raise NotFoundError(f"there is no device {device}", "hubman device ls")
        _say(db, device or own, policy)
        if device in {"", own}:
            keeping.follow(registry, policy)


def introduce(registry: Registry) -> None:
    """Say who this machine is, if it has not been said or the version of hubman is another."""
    with registry.transaction() as db:
        device = clock.device_id(db)
        row = db.execute("SELECT app_version, seen_at FROM devices WHERE id = ?", (device,)).fetchone()
        if row is None or row["seen_at"] is None or row["app_version"] != hubman.__version__:
            introduce_as(db, device)


def introduce_as(db: sqlite3.Connection, device: str) -> None:
    """Say who ``device`` is. Call inside a transaction."""
    _say(db, device, of_device(db, device), hubman.__version__)


def pin(registry: Registry, version_id: str, device: str = "") -> None:
    """Keep this version's weights on a device, by default this machine, whatever its policy says of others."""
    library.update_set(registry, device or clock.device_id(registry.db), PINS, add=[version_id])


def unpin(registry: Registry, version_id: str, device: str = "") -> None:
    library.update_set(registry, device or clock.device_id(registry.db), PINS, remove=[version_id])


def pinned(db: sqlite3.Connection, device: str) -> set[str]:
    return set(projection.members(db, device, PINS))


def wants(registry: Registry, device: str, policy: Policy, blob: Wanted) -> bool:
    """Whether ``policy`` asks for a blob that this machine does not have, room or no room for it."""
    if blob.kind == "picture":
        is_asked = policy.previews == "all" or (policy.previews == "thumbs" and _is_cover(registry.db, blob.sha256))
        return is_asked and not blobs.path_of(registry, blob.sha256).exists()
    db = registry.db
    if policy.weights == "none" or here.is_here(db, blob.sha256):
        return False
    is_dropped = db.execute("SELECT 1 FROM dropped WHERE sha256 = ?", (blob.sha256,)).fetchone() is not None
    if policy.weights == "all" and not is_dropped:
        return True
    row = db.execute("SELECT version_id FROM files WHERE sha256 = ?", (blob.sha256,)).fetchone()
    if row is None:
        return False
    return row[0] in pinned(db, device) or (not is_dropped and _is_found(registry, policy, row[0]))


def _is_cover(db: sqlite3.Connection, sha256: str) -> bool:
    return db.execute("SELECT 1 FROM versions WHERE preview = ?", (sha256,)).fetchone() is not None


def query_of(registry: Registry, policy: Policy) -> Query | None:
    """The compiled line of ``query:``; None where there is none, or none that this machine can read."""
    if not policy.weights.startswith(QUERY):
        return None
    try:
        return compile_query(_line(policy), views=views.own(registry))
    except UsageError:
        # Another machine wrote it, with a field of a newer hubman or a view that has not arrived: nothing is fetched.
        return None


def _is_found(registry: Registry, policy: Policy, version: str) -> bool:
    query = query_of(registry, policy)
    if query is None:
        return False
    sql = f"SELECT 1 FROM {query.source} AND l.id = (SELECT model_id FROM versions WHERE id = :version)"  # noqa: S608 - a query of ours
    return registry.db.execute(sql, {**query.parameters, "version": version}).fetchone() is not None


def _line(policy: Policy) -> str:
    return policy.weights.removeprefix(QUERY)


def _say(db: sqlite3.Connection, device: str, policy: Policy, app_version: str | None = None) -> None:
    row = db.execute("SELECT name, app_version FROM devices WHERE id = ?", (device,)).fetchone()
    said = msgspec.to_builtins(policy)
    facts = {"name": row["name"], "policy": said, "app_version": app_version or row["app_version"]}
    changes.record(db, [["dev", device, facts, clock.tick(db)]])
