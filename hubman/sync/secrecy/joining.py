"""The key of a remote that is made or joined: where it comes from, and that it is the right one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hubman.sync.records import layout
from hubman.sync.secrecy import keys
from hubman.sync.secrecy.codec import PLAIN, Codec
from hubman.sync.secrecy.codecs import codec_with
from hubman.sync.secrecy.repo_key import RepoKey, new_key
from registry import ids
from registry.database import Registry
from registry.errors import HubError, UsageError

KIND = {"none": "neither encrypted nor signed", "hmac": "signed", "age": "encrypted"}


def _nobody(hub: layout.Hub) -> RepoKey:
    raise HubError(
        f"the remote is {KIND[hub.enc]}, and its key is not on this machine",
        f"give its words by --key-file or ${keys.VARIABLE}, or hubman remote key join",
    )


def _unseen(key: RepoKey) -> None:
    """For callers who show the key another way."""


@dataclass(frozen=True)
class Secrecy:
    """What a person wants: ``enc`` (``hmac``, ``age``) of a new remote, or empty for whatever an old one has.

    ``give`` finds the key of a remote that has one and may raise; ``made`` is told a new key, once.
    """

    enc: str = ""
    give: Callable[[layout.Hub], RepoKey] = _nobody
    made: Callable[[RepoKey], None] = _unseen


NO_SECRECY = Secrecy()


def new_hub(enc: str) -> tuple[layout.Hub, RepoKey | None]:
    """What a new remote says of itself, and its new key if it has one.

    Raises :class:`registry.errors.MissingExtraError`.
    """
    repo = ids.new_id()
    if enc in {"", "none"}:
        return layout.Hub(format=layout.FORMAT, repo=repo), None
    key = new_key()
    codec_with(enc, repo, key)
    newest = layout.NEWEST
    hub = layout.Hub(
        format=layout.FORMAT, repo=repo, enc=enc, check=key.check(repo), min_reader=newest, min_writer=newest
    )
    return hub, key


def codec_of_hub(registry: Registry, hub: layout.Hub, secrecy: Secrecy) -> Codec:
    """The codec of the remote that ``hub`` describes, whose key is kept on this machine from now on.

    Raises :class:`UsageError` when the remote is kept otherwise than it was asked for, :class:`HubError` for a key
    that is not its own; nothing is kept then.
    """
    if secrecy.enc not in {"", hub.enc}:
        raise UsageError(
            f"there is a remote already, which is {KIND[hub.enc]}", "choose an empty place for one that is otherwise"
        )
    if hub.enc == "none":
        return PLAIN
    return codec_with(hub.enc, hub.repo, take_key(registry, hub, secrecy.give))


def take_key(registry: Registry, hub: layout.Hub, give: Callable[[layout.Hub], RepoKey]) -> RepoKey:
    """The key of ``hub``: from the environment, as kept here, or as given, and then kept. Raises :class:`HubError`."""
    given = keys.from_environment()
    for known in (given, keys.load_key(registry, hub.repo)):
        if known is not None and known.check(hub.repo) == hub.check:
            return known
    if given is not None:
        raise HubError(f"the words in ${keys.VARIABLE} are not the key of this remote", "is it another remote's?")
    key = give(hub)
    if key.check(hub.repo) != hub.check:
        raise HubError("this is not the key of this remote", "are they the words of another one?")
    keys.keep_key(registry, hub.repo, key)
    return key
