"""What all processes of a home share when they speak to Civitai: the limiter, the last good answers, the pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hubman.civitai import auth
from hubman.civitai.answers import SCHEMA, Answers, cache_path
from hubman.civitai.ledger import Ledger
from hubman.civitai.limiter import SCHEMA as LIMITER_SCHEMA
from hubman.civitai.limiter import Limiter, api_lane, ledger_path
from hubman.civitai.limits import is_loopback
from hubman.civitai.media_cache import Media


class Shared:
    """The files of ``home``; opened when first used, to be closed. ``clock`` tells seconds since 1970."""

    def __init__(self, home: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._home, self._clock = home, clock
        self._cache = Ledger(cache_path(home), SCHEMA)
        self._limiter = Ledger(ledger_path(home), LIMITER_SCHEMA)

    def limiter(self, site: str, sleep: Callable[[float], None]) -> Limiter:
        """The gate for requests to ``site``, under all its names."""
        hosts = frozenset(api_lane(origin) for origin in auth.family(site))
        return Limiter(self._limiter, hosts, clock=self._clock, sleep=sleep)

    def answers(self, site: str, token: str) -> Answers:
        return Answers(self._cache, site, secret=token, trusts_age=_changes_slowly(site), clock=self._clock)

    def media(self, site: str) -> Media:
        folder = self._home / "civitai" / "media"
        return Media(self._cache, folder, is_lasting=_changes_slowly(site), clock=self._clock)

    def close(self) -> None:
        self._cache.close()
        self._limiter.close()


def _changes_slowly(site: str) -> bool:
    # What a site on this machine says changes under one's hands, and asking it costs nothing.
    return not is_loopback(api_lane(site))
