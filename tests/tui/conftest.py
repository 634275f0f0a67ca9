from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from hubman.jobs import store
from hubman.jobs.records import Job
from registry import database
from registry.database import Registry
from tests.support import library_factory
from tui import formats
from tui.app import HubmanApp


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No animation, no settings of this machine, no waiting for the disk, and a clock that stands."""
    for name in (
        "NO_COLOR",
        "HUBMAN_HOME",
        "HUBMAN_PICTURES",
        "HUBMAN_NSFW",
        "HUBMAN_PRIVACY",
        "HUBMAN_CIVITAI_URL",
        "CIVITAI_API_KEY",
        "DISPLAY",
        "WAYLAND_DISPLAY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setattr(formats, "now", lambda: library_factory.NOW)
    monkeypatch.setattr("os.fsync", lambda _: None)
    prepare = database._prepare

    def prepare_quickly(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA synchronous = OFF")
        prepare(db)
        db.execute("PRAGMA synchronous = OFF")

    monkeypatch.setattr(database, "_prepare", prepare_quickly)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def models(home: Path) -> list[str]:
    """Twelve models; the first is the newest."""
    with Registry(home) as registry:
        return library_factory.fill(registry, 12)


@pytest.fixture
def open_app(home: Path) -> Callable[[], HubmanApp]:
    """The app on ``home``, which never looks at jobs by itself."""
    return lambda: HubmanApp(home, poll=0)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs whose processes would have been started; none is."""
    jobs: list[Job] = []
    monkeypatch.setattr(store, "spawn", lambda _registry, job: jobs.append(job))
    return jobs
