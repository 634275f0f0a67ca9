"""A home for tests that run commands, a registry for those that call verbs, and a client of the module's own ``site``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.civitai.client import Civitai
from hubman.cli.main import run
from registry.database import Registry
from tests.support.civitai import Bench, quick_registry, write_lora


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
