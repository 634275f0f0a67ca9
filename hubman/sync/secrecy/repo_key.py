"""The key of an encrypted or signed remote: 32 random bytes, which a person keeps as 24 words.

The words are BIP-39's English list with its checksum (https://github.com/bitcoin/bips/blob/master/bip-0039.mediawiki),
so that a wrong or missing word is told before anything is tried.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hubman import secrecy
from hubman.secrecy import Key
from registry.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from mnemonic import Mnemonic

WORDS = 24
_SIZE = 32


@dataclass(frozen=True)
class RepoKey:
    """Everything that is secret about a remote follows from ``raw``, each purpose by its own message."""

    raw: bytes = field(repr=False)

    def derive(self, purpose: str) -> bytes:
        """32 bytes that tell nothing of the key or of another purpose's."""
        return hmac.digest(self.raw, f"hubman {purpose}".encode(), "sha256")

    def check(self, repo: str) -> str:
        """16 hex digits in ``hub.json`` by which a wrong key is known; also what people compare."""
        return self.derive(f"check {repo}").hex()[:16]

    def blob_name(self, sha256: str) -> str:
        """64 hex digits instead of a blob's hash, under which nobody recognises a known file."""
        return hmac.new(self.raw, sha256.encode(), hashlib.sha256).hexdigest()

    def words(self) -> Key:
        words = Key(_mnemonic().to_mnemonic(self.raw))
        secrecy.remember(words)
        return words


def new_key() -> RepoKey:
    return RepoKey(secrets.token_bytes(_SIZE))


def from_words(text: str) -> RepoKey:
    """The key that ``text`` writes out, whatever its case and blanks.

    Raises :class:`UsageError`, without repeating a word, for what is no such key.
    """
    words = text.lower().split()
    if len(words) != WORDS:
        raise UsageError(f"a remote's key has {WORDS} words, and {len(words)} were given", "type all of them")
    try:
        raw = bytes(_mnemonic().to_entropy(words))
    except (ValueError, LookupError):
        raise UsageError("these words are no key", "one of them is misspelt or in another place") from None
    return RepoKey(raw)


def _mnemonic() -> Mnemonic:
    try:
        from mnemonic import Mnemonic
    except ImportError as error:
        raise needs_extra() from error
    return Mnemonic("english")


def needs_extra() -> MissingExtraError:
    return MissingExtraError("encrypted and signed remotes need more packages", "pip install 'hubman[crypt]'")
