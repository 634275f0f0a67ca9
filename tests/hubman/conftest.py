"""A home for tests that run commands, a registry for those that call verbs, a client of the module's own ``site``, and
machines that sync.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.civitai.client import Civitai
from hubman.cli.main import run
from registry import clock
from registry.database import Registry
from tests.support.civitai import Bench, quick_registry, write_lora
from tests.support.clocks import Clock
from tests.support.machines import Machine, quick_folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUBMAN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CIVITAI_API_KEY", raising=False)
    monkeypatch.delenv("HUBMAN_CIVITAI_URL", raising=False)
    return tmp_path / "home"


@pytest.fixture
def scanned(home: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    folder.mkdir()
    write_lora(folder / "ink wash.safetensors", seed=1)
    assert run(["scan", str(folder)]) == 0
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with quick_registry(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def client(site: Bench) -> Iterator[Civitai]:
    with site.client() as opened:
        yield opened


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(tmp_path) as folder:
        yield folder


@pytest.fixture
def pair(place: Path) -> Iterator[tuple[Machine, Machine]]:
    """Two machines that have joined one empty folder."""
    machines = Machine(place, "a", place / "remote"), Machine(place, "b", place / "remote")
    yield machines
    for machine in machines:
        machine.registry.close()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    ticking = Clock()
    monkeypatch.setattr(clock, "wall_ms", ticking)
    return ticking
