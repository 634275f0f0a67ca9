"""What keeps the suite short: little done twice, registries that are made quickly, and the longest test first."""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
from collections.abc import Iterator

import pytest

from registry import database
from registry.database import Registry
from tests.support import s3

# Several test processes share the cores. Threads of one that wait for one another by spinning keep the others from work:
# with two threads each, drawing took seven times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Each home has an engine of its own, which would stay long after the test that drew with it.
os.environ.setdefault("HUBMAN_ENGINE_IDLE", "5")
# Where no bytecode is kept, each worker compiles all tests, and each process that a test starts all of its modules.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Thousands of tests stay in memory. Looked through after each 700 new objects, they took a quarter of a screen's test.
gc.set_threshold(20_000, 10, 10)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The demo takes minutes: begun last, it would keep one process busy while the others have nothing left."""
    items.sort(key=lambda item: item.path.name != "test_loop.py")


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not look at it."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _quick_registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new registry is a copy of one that was migrated once, and no write waits for the disk: no test cuts the power.

    What is no new file is migrated as ever, and so are the registries of processes that a test starts.
    """
    migrate, prepare = database._migrate, database._prepare
    ready = sqlite3.connect(":memory:", check_same_thread=False)
    with Registry(tmp_path_factory.mktemp("ready")) as registry:
        registry.db.execute("DELETE FROM devices")
        registry.db.execute("DELETE FROM meta WHERE key = 'device'")
        registry.db.backup(ready)

    def migrate_quickly(db: sqlite3.Connection) -> None:
        if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            ready.backup(db)
        migrate(db)

    def prepare_quickly(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA synchronous = OFF")
        prepare(db)
        db.execute("PRAGMA synchronous = OFF")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_migrate", migrate_quickly)
        patch.setattr(database, "_prepare", prepare_quickly)
        yield
    ready.close()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The endpoint of this process's own S3 server."""
    yield from s3.start_moto()


@pytest.fixture
def s3_store(moto: str, monkeypatch: pytest.MonkeyPatch) -> s3.S3Place:
    """A new bucket on moto."""
    return s3.new_place(moto, monkeypatch)


@pytest.fixture
def real_s3(monkeypatch: pytest.MonkeyPatch) -> s3.S3Place:
    """A new bucket on the real gateway; mark the test ``s3real``."""
    return s3.new_place(s3.real_endpoint(), monkeypatch)


@pytest.fixture(params=["moto", pytest.param("ceph", marks=pytest.mark.s3real)])
def any_s3(request: pytest.FixtureRequest) -> s3.S3Place:
    """A new bucket, on each of the servers in turn."""
    place: s3.S3Place = request.getfixturevalue("s3_store" if request.param == "moto" else "real_s3")
    return place
