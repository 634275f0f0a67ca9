"""Where the site is and with which key to speak to it. The key never reaches a file, a log or a printed address."""

from __future__ import annotations

import contextlib
import os
from urllib.parse import urlsplit

from registry.errors import HubError, UsageError

SITE = "https://civitai.com"
_SERVICE = "hubman"
_ACCOUNT = "civitai"
_CIVITAI = frozenset({"civitai.com", "civitai.red"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def site_url() -> str:
    """``$HUBMAN_CIVITAI_URL`` without a trailing slash, else Civitai itself; a bad one is a :class:`UsageError`."""
    url = os.environ.get("HUBMAN_CIVITAI_URL", "").strip().rstrip("/") or SITE
    scheme, host = _parts(url)
    if scheme == "http" and host not in _LOOPBACK:
        raise UsageError("HUBMAN_CIVITAI_URL would send the key unencrypted", "write it with https://")
    return url


def _parts(url: str) -> tuple[str, str]:
    """Scheme and host of an address. Raises :class:`UsageError`."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        # Asking for the port raises for one that is none.
        if parts.scheme in {"http", "https"} and parts.hostname and not parts.username and parts.port != 0:
            return parts.scheme, parts.hostname
    raise UsageError("HUBMAN_CIVITAI_URL is not a web address", f"write it like {SITE}, without a key or a path")


def _account() -> str:
    """The keyring's entry: one key serves Civitai under all its names, another site has one of its own."""
    host = _parts(site_url())[1].removeprefix("www.")
    return _ACCOUNT if host in _CIVITAI else f"{_ACCOUNT} {host}"


def api_key() -> str:
    """``$CIVITAI_API_KEY``, else the system keyring's key for the configured site, else empty."""
    if key := os.environ.get("CIVITAI_API_KEY", "").strip():
        return _checked(key)
    import keyring
    from keyring.errors import KeyringError

    try:
        return _checked(keyring.get_password(_SERVICE, _account()) or "")
    except KeyringError:
        # A machine without a keyring service (a server over SSH) reads as one without a key.
        return ""


def store_api_key(key: str) -> None:
    """Keep ``key`` in the system keyring; raises :class:`HubError` where there is none."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(_SERVICE, _account(), _checked(key.strip()))
    except KeyringError as error:
        raise HubError("this machine has no usable keyring", "set CIVITAI_API_KEY instead") from error


def _checked(key: str) -> str:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("the Civitai key holds characters that no key has", "copy it again from the site")
    return key
