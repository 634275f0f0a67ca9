"""What ``hubman doctor`` says of Civitai, without asking it: the key, the proxy, the limits, what is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hubman.civitai import auth, budget, connection
from hubman.civitai.kept import kept
from hubman.civitai.limiter import api_lane
from hubman.civitai.limits import RATE_VARIABLE, limits_for
from hubman.cli import output
from registry.errors import HubError

Finding = tuple[str, bool, str]


def findings(home: Path) -> list[Finding]:
    looks = {"key": _key, "proxy": _proxy, "rate": lambda: _limits(home), "kept": lambda: _kept(home)}
    return [_found(f"civitai {name}", look) for name, look in looks.items()]


def _found(name: str, look: Callable[[], tuple[bool, str]]) -> Finding:
    try:
        return (name, *look())
    except HubError as error:
        return name, False, str(error)


def _key() -> tuple[bool, str]:
    source = auth.key_source()
    where = f"from the {source}, " if source else ""
    advice = "" if source else ": hubman login, needed to publish and for some downloads"
    return bool(source), f"{where}for {auth.site_url()}{advice}"


def _proxy() -> tuple[bool, str]:
    # Opening and closing a client finds out whether the environment's proxies can be used.
    connection.open_client(1.0).close()
    proxy = connection.proxy_in_use(auth.site_url())
    return True, f"through {proxy}" if proxy else "none"


def _limits(home: Path) -> tuple[bool, str]:
    found = budget.read(home)
    limits = limits_for(api_lane(auth.site_url()))
    pause = f"; paused for {found.paused_for:.0f} s ({found.why})" if found.paused_for else ""
    left = f"{found.left} of {found.limit} at once are left"
    return not found.paused_for, f"{limits.rate:g} requests/s (${RATE_VARIABLE}), {left}{pause}"


def _kept(home: Path) -> tuple[bool, str]:
    found = kept(home)
    answers = f"{found.answers} answers ({output.size(found.answers_size)})"
    pictures = f"{found.pictures} pictures ({output.size(found.pictures_size)})"
    return True, f"{answers} and {pictures} to look at offline; to forget them delete {found.folder}"
