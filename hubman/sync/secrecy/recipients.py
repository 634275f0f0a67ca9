"""Let a machine in without typing words: the remote's key, encrypted for that machine alone, lies on the remote.

A machine has a pair of age keys. The public half is carried to one that has the remote's key, by the person; that one
writes ``keys/<device>-<hash32>``. Nothing else ever makes the key leave a machine.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import msgspec

from hubman.secrecy import Key
from hubman.sync.records import layout
from hubman.sync.secrecy import keys
from hubman.sync.secrecy.repo_key import RepoKey, needs_extra
from hubman.sync.storages.storage import Storage
from registry import clock
from registry.database import Registry
from registry.errors import HubError, UsageError

if TYPE_CHECKING:
    from pyrage.x25519 import Identity

_OWN = "device"
_REQUEST = re.compile(r"([0-9a-f]{16})/(age1[0-9a-z]{58})")
_HINT = "copy the whole line that hubman remote key join prints on the other machine"


class _Wrapped(msgspec.Struct, frozen=True):
    repo: str
    key: str
    """64 hex digits."""


def request(registry: Registry) -> str:
    """What a person carries to a machine that has the key: ``<device>/age1…``. Raises :class:`HubError`."""
    secret = keys.load(registry, _OWN)
    if not secret:
        try:
            from pyrage.x25519 import Identity
        except ImportError as error:
            raise needs_extra() from error
        secret = Key(str(Identity.generate()))
        keys.keep(registry, _OWN, secret)
    return f"{clock.device_id(registry.db)}/{_identity(secret).to_public()}"


def admit(storage: Storage, repo: str, key: RepoKey, asked: str) -> str:
    """Encrypt the key for the machine whose :func:`request` was carried here; returns its device id.

    Raises :class:`UsageError` for what is no request, :class:`registry.errors.MissingExtraError` without pyrage.
    """
    found = _REQUEST.fullmatch(asked.strip())
    if found is None:
        raise UsageError("this is no machine's request", _HINT)
    try:
        import pyrage
    except ImportError as error:
        raise needs_extra() from error
    try:
        recipient = pyrage.x25519.Recipient.from_str(found[2])
    except pyrage.RecipientError as error:
        raise UsageError("this is no machine's request", _HINT) from error
    body = pyrage.encrypt(msgspec.json.encode(_Wrapped(repo, key.raw.hex())), [recipient])
    storage.create(f"{layout.KEYS}{found[1]}-{layout.hash32(body)}", body)
    return found[1]


def admitted(storage: Storage) -> list[str]:
    """The devices for which the key lies on the remote."""
    return sorted({device for device, _ in _entries(storage)})


def withdraw_all(storage: Storage, devices: Collection[str]) -> bool:
    """Remove what lies there for ``devices``; whether there was anything. A key that one has taken, it keeps."""
    theirs = [key for device, key in _entries(storage) if device in devices] if devices else []
    for key in theirs:
        storage.delete(key)
    return bool(theirs)


def key_for_this_machine(registry: Registry, storage: Storage, hub: layout.Hub) -> RepoKey:
    """The key of the remote, if this machine was let in. Raises :class:`HubError` that says how to be."""
    asked = request(registry)
    device, _, _ = asked.partition("/")
    identity = _identity(keys.load(registry, _OWN))
    for theirs, key in _entries(storage):
        if theirs == device and (found := _unwrapped(storage, key, identity, hub)) is not None:
            return found
    raise HubError(
        "this machine has not been let in yet",
        f"on one that has the key: hubman remote key add-recipient NAME {asked}",
    )


def _unwrapped(storage: Storage, name: str, identity: Identity, hub: layout.Hub) -> RepoKey | None:
    """None for what somebody else put there."""
    import pyrage

    fetched = storage.get(name, layout.KEY_CAP)
    if fetched is None or not layout.is_intact(name, fetched.data):
        return None
    try:
        wrapped = msgspec.json.decode(pyrage.decrypt(fetched.data, [identity]), type=_Wrapped)
        key = RepoKey(bytes.fromhex(wrapped.key))
    except (pyrage.DecryptError, OSError, msgspec.MsgspecError, ValueError):
        return None
    return key if wrapped.repo == hub.repo and key.check(hub.repo) == hub.check else None


def _identity(secret: Key) -> Identity:
    try:
        from pyrage import IdentityError
        from pyrage.x25519 import Identity
    except ImportError as error:
        raise needs_extra() from error
    try:
        return Identity.from_str(str(secret))
    except IdentityError as error:
        raise HubError("this machine's own key is damaged", "remove it: a new one is made and asks again") from error


def _entries(storage: Storage) -> Iterator[tuple[str, str]]:
    for entry in storage.entries(layout.KEYS):
        if layout.is_known(entry.key):
            yield entry.key[len(layout.KEYS) :].partition("-")[0], entry.key
