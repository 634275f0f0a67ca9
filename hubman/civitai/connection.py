"""The HTTP client itself: honest identification, no redirects by itself, proxies from the environment."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx

from hubman import __version__
from hubman.secrecy import Key
from registry.errors import HubError

# No browser words: the site answers browsers with pages and redirects to its login.
USER_AGENT = f"hubman/{__version__}"
_VARIABLES = "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY"
# A sandbox on this machine is never behind a proxy, whether NO_PROXY says so or not.
_DIRECT: dict[str, httpx.BaseTransport | None] = {
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}


class Bearer(httpx.Auth):
    """Adds the key at the last moment, so that no variable of ours holds a header with it."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers["Authorization"] = f"Bearer {self._key}"
        yield request


def open_client(timeout: float) -> httpx.Client:
    """A client that follows no redirects. Raises :class:`HubError` when the environment's proxy can't be used."""
    try:
        return httpx.Client(
            timeout=httpx.Timeout(timeout, connect=15.0),
            limits=httpx.Limits(max_connections=16),
            follow_redirects=False,
            headers={"User-Agent": USER_AGENT},
            mounts=_DIRECT,
        )
    except ImportError:
        raise HubError(
            "the proxy of the environment is a SOCKS proxy, which needs one more package",
            "pip install 'httpx[socks]', or unset ALL_PROXY",
        ) from None
    except (ValueError, httpx.InvalidURL):
        # The message would repeat the address with its password.
        raise HubError("the proxy of the environment has no valid address", f"correct {_VARIABLES}") from None


_PASSWORD = re.compile(r"//[^/@\s]+@")


def proxy_in_use(url: str) -> str:
    """The proxy that requests to ``url`` go through, without its password; empty for none."""
    from urllib.request import getproxies, proxy_bypass

    target = httpx.URL(url)
    if f"all://{target.host}" in _DIRECT or proxy_bypass(target.host):
        return ""
    proxies = getproxies()
    return _PASSWORD.sub("//…@", proxies.get(target.scheme) or proxies.get("all") or "")
