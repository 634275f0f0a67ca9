"""Where the site is and with which key to speak to it. The key never reaches a file, a log or a printed address."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from registry.errors import HubError, UsageError

SITE = "https://civitai.com"
_SERVICE = "hubman"
_ACCOUNT = "civitai"


def site_url() -> str:
    """``$HUBMAN_CIVITAI_URL`` without a trailing slash, else Civitai itself; a bad one is a :class:`UsageError`."""
    url = os.environ.get("HUBMAN_CIVITAI_URL", "").strip().rstrip("/") or SITE
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.username:
        raise UsageError("HUBMAN_CIVITAI_URL is not a web address", f"write it like {SITE}, without a key or a path")
    return url


def api_key() -> str:
    """``$CIVITAI_API_KEY``, else the system keyring's key, else empty."""
    if key := os.environ.get("CIVITAI_API_KEY", "").strip():
        return _checked(key)
    import keyring
    from keyring.errors import KeyringError

    try:
        return _checked(keyring.get_password(_SERVICE, _ACCOUNT) or "")
    except KeyringError:
        # A machine without a keyring service (a server over SSH) reads as one without a key.
        return ""


def store_api_key(key: str) -> None:
    """Keep ``key`` in the system keyring; raises :class:`HubError` where there is none."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(_SERVICE, _ACCOUNT, _checked(key.strip()))
    except KeyringError as error:
        raise HubError("this machine has no usable keyring", "set CIVITAI_API_KEY instead") from error


def _checked(key: str) -> str:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("the Civitai key holds characters that no key has", "copy it again from the site")
    return key
