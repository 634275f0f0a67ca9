"""The address of a bucket and what may be said with it. Never a key: those stay in the environment or in key files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from registry.errors import UsageError

SCHEMES = ("s3", "gs", "az", "abfs", "abfss")

_OPTIONS: dict[str, dict[str, str]] = {
    "s3": {"endpoint": "endpoint", "region": "region"},
    "gs": {"endpoint": "base_url"},
    "az": {"endpoint": "endpoint", "account": "account_name"},
}
"""What a remote's options say of each kind of store, and how obstore calls it."""
_PROFILE, _ANONYMOUS = "profile", "anonymous"
NAMES = frozenset({"endpoint", "region", "account", _PROFILE, _ANONYMOUS})


def check_address(url: str, options: Mapping[str, str]) -> None:
    """Raises :class:`UsageError` for an address that names no bucket or holds a key, and for options that don't fit."""
    parts = urlsplit(url)
    if _holds_key(url):
        raise UsageError(
            "keys don't belong into a remote's address", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --profile"
        )
    if parts.scheme not in SCHEMES or not parts.hostname:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise UsageError(f"{url} names no bucket", f"addresses begin with {known}")
    endpoint = options.get("endpoint", "")
    if endpoint and (urlsplit(endpoint).scheme not in {"http", "https"} or not urlsplit(endpoint).hostname):
        raise UsageError(f"{endpoint} is no endpoint", "it begins with https://")
    if endpoint and _holds_key(endpoint):
        raise UsageError("keys don't belong into an endpoint", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    allowed = set(_OPTIONS[_family(url)]) | {_ANONYMOUS} | ({_PROFILE} if _family(url) == "s3" else set())
    for name in sorted(NAMES & set(options) - allowed):
        raise UsageError(
            f"{parts.scheme}:// has no --{name}", f"it has {', '.join(f'--{one}' for one in sorted(allowed))}"
        )


def settings_of(url: str, options: Mapping[str, str]) -> dict[str, Any]:
    """What obstore is told when it opens ``url``."""
    names = _OPTIONS[_family(url)]
    settings: dict[str, Any] = {names[name]: value for name, value in options.items() if name in names}
    if options.get(_ANONYMOUS) == "yes":
        settings["skip_signature"] = True
    return settings


def profile_of(url: str, options: Mapping[str, str]) -> str | None:
    """The profile of the AWS key file that was asked for ("" for whichever is usual); None where keys come otherwise."""
    if _family(url) != "s3" or options.get(_ANONYMOUS) == "yes":
        return None
    return options.get(_PROFILE, "")


def _family(url: str) -> str:
    scheme = urlsplit(url).scheme
    return "az" if scheme.startswith("abfs") else scheme


def _holds_key(url: str) -> bool:
    """Whether a key or a signature could stand in it; ``abfss://container@account`` has none before its ``@``."""
    parts = urlsplit(url)
    names_container = parts.scheme.startswith("abfs") and ":" not in parts.netloc.partition("@")[0]
    return ("@" in parts.netloc and not names_container) or bool(parts.query or parts.fragment)
