"""Where the site is and with which key to speak to it. The key never reaches a file, a log or a printed address."""

from __future__ import annotations

import contextlib
import os
from urllib.parse import urlsplit

from hubman import keys
from hubman.secrecy import Key

SITE = "https://civitai.com"
KEY_VARIABLE = "CIVITAI_API_KEY"
_ACCOUNT = "civitai"
_CIVITAI = ("civitai.com", "civitai.red", "www.civitai.com", "www.civitai.red")
_INSTEAD = f"set {KEY_VARIABLE} in the profile of your shell; hubman whoami tells whether it works"


def site_url() -> str:
    """``$HUBMAN_CIVITAI_URL`` without a trailing slash, else Civitai itself; a bad one is a :class:`UsageError`."""
    return keys.site_of("HUBMAN_CIVITAI_URL", SITE)


def family(site: str) -> tuple[str, ...]:
    """The addresses under which ``site`` answers to the same accounts: Civitai has several, any other site one."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(site)
        if parts.scheme == "https" and parts.netloc.lower() in _CIVITAI:
            return tuple(f"https://{host}" for host in _CIVITAI)
    return (site,)


def key_page() -> str:
    """The page that makes a key with the permissions that publishing needs already chosen."""
    return f"{site_url()}/user/account?addApiKey=1&name=hubman&scope=Creator"


def _account() -> str:
    """The keyring's entry: one key serves Civitai under all its names, another site has one of its own."""
    host = keys.host_of(site_url())
    return _ACCOUNT if host in _CIVITAI else f"{_ACCOUNT} {host}"


def api_key() -> str:
    """``$CIVITAI_API_KEY``, else the system keyring's key for the configured site, else empty."""
    return _given() or _kept()


def key_source() -> str:
    """Where :func:`api_key` has it from: ``environment``, ``keyring``, or empty."""
    return "environment" if _given() else "keyring" if _kept() else ""


def _given() -> Key:
    return clean_key(os.environ.get(KEY_VARIABLE, ""))


def _kept() -> Key:
    return clean_key(keys.kept(_account()))


def check_keyring(page: str) -> None:
    """Raises :class:`registry.errors.HubError` where keys can't be stored, before anyone makes one on ``page`` in vain."""
    keys.check_keyring(_account(), f"make a key on {page} and {_INSTEAD}")


def store_api_key(key: str) -> None:
    """Keep ``key`` in the system keyring; raises :class:`registry.errors.HubError` where there is none that keeps it."""
    keys.keep(_account(), clean_key(key), _INSTEAD)


def forget_api_key() -> bool:
    """Remove the configured site's key from the keyring; whether there was one. Raises :class:`registry.errors.HubError`."""
    return keys.forget(_account())


def clean_key(text: str) -> Key:
    """A key as it was pasted, see :func:`hubman.keys.clean`. Raises :class:`registry.errors.UsageError`."""
    return keys.clean(text, "Civitai key")
