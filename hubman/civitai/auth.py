"""Where the site is and with which key to speak to it. The key never reaches a file, a log or a printed address."""

from __future__ import annotations

import contextlib
import os
import re
from urllib.parse import urlsplit

from hubman.civitai.limits import LOOPBACK
from hubman.civitai.secrecy import Key
from registry.errors import HubError, UsageError

SITE = "https://civitai.com"
KEY_VARIABLE = "CIVITAI_API_KEY"
_SERVICE = "hubman"
_ACCOUNT = "civitai"
_CIVITAI = ("civitai.com", "civitai.red", "www.civitai.com", "www.civitai.red")
_INSTEAD = f"set {KEY_VARIABLE} in the profile of your shell; hubman whoami tells whether it works"


def site_url() -> str:
    """``$HUBMAN_CIVITAI_URL`` without a trailing slash, else Civitai itself; a bad one is a :class:`UsageError`."""
    url = os.environ.get("HUBMAN_CIVITAI_URL", "").strip().rstrip("/") or SITE
    scheme, host = _parts(url)
    if scheme == "http" and host not in LOOPBACK:
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
    host = _parts(site_url())[1]
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
    import keyring
    from keyring.errors import KeyringError

    try:
        return clean_key(keyring.get_password(_SERVICE, _account()) or "")
    except KeyringError:
        # A machine without a keyring service (a server over SSH) reads as one without a key.
        return Key()


def check_keyring(page: str) -> None:
    """Raises :class:`HubError` where keys can't be stored, before anyone makes one on ``page`` in vain."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.get_password(_SERVICE, _account())
    except KeyringError:
        raise HubError("this machine has no usable keyring", f"make a key on {page} and {_INSTEAD}") from None


def store_api_key(key: str) -> None:
    """Keep ``key`` in the system keyring; raises :class:`HubError` where there is none, or one that keeps nothing."""
    import keyring
    from keyring.errors import KeyringError

    cleaned = str(clean_key(key))
    try:
        keyring.set_password(_SERVICE, _account(), cleaned)
        if keyring.get_password(_SERVICE, _account()) == cleaned:
            return
    except KeyringError:
        pass
    raise HubError("this machine has no usable keyring", _INSTEAD)


def forget_api_key() -> bool:
    """Remove the configured site's key from the keyring; whether there was one. Raises :class:`HubError`."""
    import keyring
    from keyring.errors import KeyringError, PasswordDeleteError

    try:
        keyring.delete_password(_SERVICE, _account())
    except PasswordDeleteError:
        return False
    except KeyringError:
        raise HubError("this machine has no usable keyring", "there is no key in it to forget") from None
    return True


_PASTED = re.compile(r"(?i)^(?:authorization\s*:\s*)?(?:bearer\s+)?")
_AROUND = " \t\r\n\"'`\u2018\u2019\u201c\u201d\u200b\ufeff"


def clean_key(text: str) -> Key:
    """A key as it was pasted, without quotes, ``Bearer`` and blanks around it.

    Raises :class:`UsageError` for what no key holds; the message does not repeat it.
    """
    key = _PASTED.sub("", text.strip(_AROUND)).strip(_AROUND)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("the Civitai key holds characters that no key has", "copy it again from the site")
    return Key(key)
