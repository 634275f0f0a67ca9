"""Where the Hub is and with which token to speak to it. The token never reaches a file, a log or a printed address."""

from __future__ import annotations

import contextlib
import os
from urllib.parse import urlsplit

from registry.errors import HubError, UsageError

HUB = "https://huggingface.co"
_SERVICE = "hubman"
_ACCOUNT = "huggingface"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def endpoint() -> str:
    """``$HF_ENDPOINT`` without a trailing slash, else the Hub itself. Raises :class:`UsageError` for a bad one."""
    url = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or HUB
    scheme, host = _parts(url)
    if scheme == "http" and host not in _LOOPBACK:
        raise UsageError("HF_ENDPOINT would send the token unencrypted", "write it with https://")
    return url


def _parts(url: str) -> tuple[str, str]:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.hostname and not parts.username and parts.port != 0:
            return parts.scheme, parts.hostname
    raise UsageError("HF_ENDPOINT is not a web address", f"write it like {HUB}, without a token")


def _account() -> str:
    """The keyring's entry; another Hub than Hugging Face's own has one of its own."""
    host = _parts(endpoint())[1]
    return _ACCOUNT if host == "huggingface.co" else f"{_ACCOUNT} {host}"


def token() -> str:
    """``$HF_TOKEN``, else the system keyring's token for the Hub, else empty."""
    if given := os.environ.get("HF_TOKEN", "").strip():
        return _checked(given)
    import keyring
    from keyring.errors import KeyringError

    try:
        return _checked(keyring.get_password(_SERVICE, _account()) or "")
    except KeyringError:
        # A machine without a keyring service (a server over SSH) reads as one without a token.
        return ""


def store_token(given: str) -> None:
    """Keep the token in the system keyring; raises :class:`HubError` where there is none."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(_SERVICE, _account(), _checked(given.strip()))
    except KeyringError as error:
        raise HubError("this machine has no usable keyring", "set HF_TOKEN instead") from error


def _checked(given: str) -> str:
    if not given.isascii() or not given.isprintable() or " " in given:
        raise UsageError("the Hugging Face token holds characters that no token has", "copy it again from the site")
    return given
