"""Imports go down only, and nothing heavy is loaded before a verb needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent.parent
_HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate", "numpy"}


def _run(*command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(_HERE)}
    done = subprocess.run(command, cwd=_HERE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_contracts_of_the_layers_hold() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    assert "0 broken" in _run(str(linter), "--config", str(_HERE / "pyproject.toml"), "--no-cache")


def _loaded_after(statement: str) -> set[str]:
    """The top-level modules in a fresh interpreter after ``statement``."""
    names = "{name.partition('.')[0] for name in sys.modules}"
    return set(_run(sys.executable, "-c", f"{statement}\nimport sys\nprint(*{names})").split())


def test_the_registry_loads_nothing_heavy_no_network_and_no_screen() -> None:
    modules = sorted(path.stem for path in (_HERE / "registry").glob("*.py"))
    # The tables' module brings sqlite-utils, which brings what it finds; it is loaded when a registry is created.
    names = [name for name in modules if name not in {"__init__", "schema"}]
    loaded = _loaded_after("\n".join(f"import registry.{name}" for name in names))
    assert not loaded & (_HEAVY | {"httpx", "textual", "starlette"})


@pytest.mark.parametrize("module", ["hubman.cli.main", "tui.app"])
def test_opening_the_program_loads_nothing_heavy(module: str) -> None:
    assert not _loaded_after(f"import {module}") & _HEAVY
