"""A home of their own for tests that run commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubman.cli.main import run
from tests.support.civitai import write_lora


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
