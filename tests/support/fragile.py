"""A machine whose process can die before or after any transaction, request or step."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from registry.database import Registry
from tests.support.machines import Machine


class Crash(BaseException):
    """The process ends here."""


class Fuse:
    """Counts the points at which a process can die, and dies at the one that was asked for."""

    left = 0

    def burn(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


class FragileRegistry(Registry):
    """A process can die before any transaction, and after it."""

    def __init__(self, home: Path) -> None:
        self.fuse = Fuse()
        super().__init__(home)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        is_outer = not self.db.in_transaction
        if is_outer:
            self.fuse.burn()
        with super().transaction() as db:
            yield db
        if is_outer:
            self.fuse.burn()


class Replica(Machine):
    """A machine from a folder that is there already."""

    registry: FragileRegistry

    def __init__(self, home: Path, remote: Path) -> None:
        self.home, self.remote = home, remote
        self.registry = FragileRegistry(home)

    def restart(self) -> None:
        self.registry.close()
        self.registry = FragileRegistry(self.home)
