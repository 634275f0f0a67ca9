"""What sites' addresses and keys have in common: a variable that names another site, a pasted key, the system's keyring."""

from __future__ import annotations

import contextlib
import os
import re
from urllib.parse import urlsplit

from hubman.secrecy import Key
from registry.errors import HubError, UsageError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SERVICE = "hubman"


def site_of(variable: str, usual: str, key: str = "key") -> str:
    """The address in the variable without a trailing slash, else the ``usual`` one.

    Raises :class:`UsageError` for what is none, and for one that would send the ``key`` unencrypted off this machine.
    """
    url = os.environ.get(variable, "").strip().rstrip("/") or usual
    scheme, host = _parts(url)
    if not host:
        raise UsageError(f"{variable} is not a web address", f"write it like {usual}, without a {key} or a path")
    if scheme == "http" and host not in LOOPBACK:
        raise UsageError(f"{variable} would send the {key} unencrypted", "write it with https://")
    return url


def host_of(url: str) -> str:
    """The host of an address that :func:`site_of` returned."""
    return _parts(url)[1]


def _parts(url: str) -> tuple[str, str]:
    """Scheme and host; empty for what is no web address, or holds a name or a port that is none."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        # Asking for the port raises for one that is none.
        if parts.scheme in {"http", "https"} and parts.hostname and not parts.username and parts.port != 0:
            return parts.scheme, parts.hostname
    return "", ""


_PASTED = re.compile(r"(?i)^(?:authorization\s*:\s*)?(?:bearer\s+)?")
_AROUND = " \t\r\n\"'`\u2018\u2019\u201c\u201d\u200b\ufeff"


def clean(text: str, what: str) -> Key:
    """A key as it was pasted, without quotes, ``Bearer`` and blanks around it; ``what`` names it, such as ``Civitai key``.

    Raises :class:`UsageError` for what no key holds; the message does not repeat it.
    """
    key = _PASTED.sub("", text.strip(_AROUND)).strip(_AROUND)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"the {what} holds characters that none has", "copy it again from the site")
    return Key(key)


def kept(account: str) -> str:
    """The keyring's entry; empty where there is none, and on a machine without a keyring, such as a server over SSH."""
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(_SERVICE, account) or ""
    except KeyringError:
        return ""


def check_keyring(account: str, instead: str) -> None:
    """Raises :class:`HubError` where keys can't be stored; ``instead`` is what to do then."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.get_password(_SERVICE, account)
    except KeyringError:
        raise HubError("this machine has no usable keyring", instead) from None


def keep(account: str, key: Key, instead: str) -> None:
    """Put ``key`` into the keyring; raises :class:`HubError` where there is none, or one that keeps nothing."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(_SERVICE, account, str(key))
        if keyring.get_password(_SERVICE, account) == str(key):
            return
    except KeyringError:
        pass
    raise HubError("this machine has no usable keyring", instead)


def forget(account: str) -> bool:
    """Remove the entry; whether there was one. Raises :class:`HubError` where there is no keyring."""
    import keyring
    from keyring.errors import KeyringError, PasswordDeleteError

    try:
        keyring.delete_password(_SERVICE, account)
    except PasswordDeleteError:
        return False
    except KeyringError:
        raise HubError("this machine has no usable keyring", "there is no key in it to forget") from None
    return True
