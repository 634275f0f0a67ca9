"""How many requests ``enrich`` may make in a day."""

from __future__ import annotations

from registry import upstream_hashes
from registry.database import Registry

_PER_10_000 = 110


class Allowance:
    """Counts requests, so that what is nice to have waits where what must be asked took most of them.

    What must be asked is at most 104 requests for 10,000 files: ``by-hash/ids`` names the versions of 2,500 files a
    request (4), and ``/models?ids=`` tells everything of 100 models a request (100, if every file is of another model).
    The other way, whole versions of 100 files a request by ``POST by-hash``, takes 100 requests too, and another 100
    for what only the model's page tells: licence, creator, tags, description, newer versions. Pictures come from
    another host and do not count.
    """

    def __init__(self, registry: Registry, files: int, now: str, *, is_daily: bool = True) -> None:
        """Without ``is_daily`` it neither counts for the day nor minds what was asked for before."""
        self._registry, self._now, self._is_daily = registry, now, is_daily
        self._total = _PER_10_000 * max(1, -(-files // 10_000))
        self.used = 0

    def use(self) -> None:
        """Count one request, before it is made: one that fails was made all the same."""
        self.used += 1
        if self._is_daily:
            with self._registry.transaction() as db:
                upstream_hashes.use(db, self._now)

    @property
    def left(self) -> int:
        # Read anew each time: other processes ask too.
        used = upstream_hashes.used_today(self._registry.db, self._now) if self._is_daily else self.used
        return max(0, self._total - used)
