"""Which Civitai to speak to: the real one, another address, or the sandbox that runs beside this home."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hubman import logs
from hubman.civitai import auth
from hubman.civitai.client import Civitai
from hubman.civitai.shared import Shared
from registry.errors import HubError

SANDBOX = "sandbox"


class RunningSandbox(msgspec.Struct, frozen=True):
    """What ``hubman sandbox`` leaves in its folder while it runs. Its key opens nothing but itself."""

    url: str
    token: str


def sandbox_folder(home: Path) -> Path:
    return home / "sandbox"


def announce(folder: Path, url: str, token: str) -> Path:
    """Write down where a sandbox listens; returns the file, to be removed when it stops."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "running.json"
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(RunningSandbox(url, token)))
    return path


def connect(home: Path, site: str | None = None) -> Civitai:
    """A client for ``site``: None is the configured one, ``sandbox`` the one that runs for this home, else an address.

    It shares its limits and what it has seen with all processes of ``home``. The personal key is sent only to the
    configured site. Raises :class:`HubError` when no sandbox runs.
    """
    logs.keep(home)
    shared = Shared(home)
    if site is None or site == auth.site_url():
        return Civitai.from_environment(shared)
    running = read_running(sandbox_folder(home))
    if running is not None and site in {SANDBOX, running.url}:
        return Civitai(running.url, running.token, is_rehearsal=True, shared=shared)
    if site == SANDBOX:
        raise HubError("no sandbox is running", "start one in another terminal with: hubman sandbox")
    return Civitai(site, shared=shared)


def read_running(folder: Path) -> RunningSandbox | None:
    try:
        return msgspec.json.decode((folder / "running.json").read_bytes(), type=RunningSandbox)
    except (OSError, msgspec.DecodeError):
        return None
