"""Addresses as the HTTP library reads them: another parser could see another host, and the key would go astray."""

from __future__ import annotations

import functools

import httpx

from hubman.civitai.errors import CivitaiError
from hubman.secrecy import scrub


@functools.lru_cache(maxsize=256)
def parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def web_address(url: str) -> str:
    """``url`` if a request can be sent there; raises :class:`CivitaiError` for anything else that a site may say."""
    try:
        parts = parsed(url)
        if parts.scheme in {"http", "https"} and parts.host and (parts.port is None or parts.port < 1 << 16):
            return url
    except (httpx.InvalidURL, ValueError):
        pass
    shown = scrub(url)[:80]
    raise CivitaiError(f"{shown!r} is no web address", "try again later; if it stays so, open the page on the site")


def origin(url: str) -> tuple[str, str, int]:
    """Where a request to ``url`` really goes: as the HTTP library reads the address, not as another parser would."""
    parts = parsed(url)
    return (parts.scheme, parts.host, parts.port or (443 if parts.scheme == "https" else 80))


def host_of(url: str) -> str:
    """For messages: the host, with a port where the address has one."""
    return parsed(url).netloc.decode()
