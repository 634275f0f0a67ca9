"""Where the Hub is and with which token to speak to it. The token never reaches a file, a log or a printed address."""

from __future__ import annotations

import os

from hubman import keys
from hubman.secrecy import Key

HUB = "https://huggingface.co"
_ACCOUNT = "huggingface"
_TOKEN = "Hugging Face token"  # noqa: S105 - what it is called


def endpoint() -> str:
    """``$HF_ENDPOINT`` without a trailing slash, else the Hub itself. Raises :class:`UsageError` for a bad one."""
    return keys.site_of("HF_ENDPOINT", HUB, "token")


def _account() -> str:
    """The keyring's entry; another Hub than Hugging Face's own has one of its own."""
    host = keys.host_of(endpoint())
    return _ACCOUNT if host == "huggingface.co" else f"{_ACCOUNT} {host}"


def token() -> Key:
    """``$HF_TOKEN``, else the system keyring's token for the Hub, else empty."""
    return keys.clean(os.environ.get("HF_TOKEN", ""), _TOKEN) or keys.clean(keys.kept(_account()), _TOKEN)


def store_token(given: str) -> None:
    """Keep the token in the system keyring; raises :class:`registry.errors.HubError` where there is none."""
    keys.keep(_account(), keys.clean(given, _TOKEN), "set HF_TOKEN instead")
