"""Which codec belongs to a remote. The packages behind it are imported only for a remote that needs them."""

from __future__ import annotations

from hubman.sync.remote import Remote
from hubman.sync.secrecy.codec import PLAIN, Codec
from hubman.sync.secrecy.keys import key_of
from hubman.sync.secrecy.repo_key import RepoKey
from registry.database import Registry
from registry.errors import UsageError


def codec_of(registry: Registry, remote: Remote) -> Codec:
    """Raises :class:`registry.errors.HubError` when its key is not on this machine."""
    return PLAIN if remote.enc == "none" else codec_with(remote.enc, remote.repo, key_of(registry, remote))


def codec_with(enc: str, repo: str, key: RepoKey) -> Codec:
    """The codec of a remote of the kind ``enc`` (``hmac`` or ``age``)."""
    if enc == "hmac":
        from hubman.sync.secrecy.signed import SignedCodec

        return SignedCodec(key, repo)
    if enc == "age":
        from hubman.sync.secrecy.sealed import SealedCodec

        return SealedCodec(key, repo)
    raise UsageError(f"this version of hubman knows no remote that is kept as {enc}", "update hubman")
