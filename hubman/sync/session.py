"""What every step of one sync needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from hubman.progress import Progress, Report, silent
from hubman.rate import Limit
from hubman.sync.remote import Remote
from hubman.sync.secrecy.codec import PLAIN, BlobObject, Codec, blob_objects
from hubman.sync.storages.storage import Storage
from registry import clock
from registry.database import Registry
from registry.errors import CancelledError


def _never() -> bool:
    return False


def _may() -> str:
    return ""


@dataclass(frozen=True)
class Session:
    """One sync of ``registry`` with ``remote``, which lies in ``storage``; the caller holds the lock.

    ``deep`` asks for everything again, whatever was remembered.
    """

    registry: Registry
    remote: Remote
    storage: Storage
    deep: bool = False
    report: Report = silent
    should_stop: Callable[[], bool] = _never
    codec: Codec = PLAIN
    up: Limit = field(default_factory=Limit)
    """What all threads that send share; ``down`` what those that fetch do."""
    down: Limit = field(default_factory=Limit)
    held: Callable[[], str] = _may
    """Why no file may move now (:mod:`hubman.sync.transfer.holding`); empty when all may."""

    @property
    def db(self) -> sqlite3.Connection:
        return self.registry.db

    @property
    def repo(self) -> str:
        return self.remote.repo

    @property
    def device(self) -> str:
        """The id of this machine, which changes when the database turns out to be a copy."""
        return clock.device_id(self.db)

    def objects(self, sha256: str, size: int) -> list[BlobObject]:
        """What a blob of ``size`` bytes is stored as on this remote."""
        return blob_objects(self.codec, sha256, size, self.remote.part)

    def is_marked(self, sha256: str) -> bool:
        """Whether somebody found nobody speaking of this blob: who relies on it now sends it again."""
        return self.codec.blob_key(f"blob/{sha256[:2]}/{sha256}") in self._marked

    @cached_property
    def _marked(self) -> frozenset[str]:
        from hubman.sync.care.marks import candidates

        return candidates(self)

    def tell(self, stage: str, done: float = 0, total: float = 0, unit: str = "", message: str = "") -> None:
        self.report(Progress(stage=stage, done=done, total=total, unit=unit, message=message))

    def stop_if_asked(self) -> None:
        """Raises :class:`CancelledError` when the person wants it to end; called wherever that loses nothing."""
        if self.should_stop():
            raise CancelledError("the sync was stopped", "the next one goes on from there")
