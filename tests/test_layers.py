"""Imports go down only, and nothing heavy is loaded before a verb needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hubman.civitai import session

_HERE = Path(__file__).parent.parent
_HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate", "numpy", "huggingface_hub"}


def _run(*command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(_HERE)}
    done = subprocess.run(
        command, cwd=_HERE, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
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
    # The tables' modules bring sqlite-utils, which brings what it finds; they are loaded when a registry is created.
    names = [name for name in modules if name != "__init__" and not name.startswith("schema")]
    loaded = _loaded_after("\n".join(f"import registry.{name}" for name in names))
    assert not loaded & (_HEAVY | {"httpx", "textual", "starlette"})


_COMMANDS = """
import sys
from hubman.cli.main import COMMANDS, run
home, lora, remote, images = sys.argv[1:]
told = {
    "root add": [home + "/loras"], "root ls": [], "scan": [], "ls": ["base:sdxl"], "show": ["ink"], "edit": ["ink", "rating=4"],
    "tag": ["ink", "+a"], "preview ls": ["ink"], "trash": ["ink"], "restore": ["ink"], "inspect": [lora], "jobs": [],
    "doctor": [], "analyze": [lora],
    "search": ["--sandbox", "x"], "creators": ["--sandbox"], "examples": ["--sandbox", "1"], "pull": ["--sandbox", "1"], "queue ls": [],
    "enrich": ["--sandbox"], "updates": [], "whoami": ["--sandbox"], "logout": [], "stats": ["--sandbox"],
    "follow": ["creator", "x"], "following": [], "unfollow": ["creator", "x"],
    "publish": ["ink", "--dry-run", "--sandbox"], "remote add": ["r", remote], "sync": ["r"], "remote check": ["r"], "device ls": [],
    "conflicts": [], "device policy": [], "pin": ["ink"], "unpin": ["ink"], "drop": ["ink"], "fetch": ["ink"],
    "dataset check": [images], "dataset show": [images], "dataset tags": [images],
    "dataset replace": [images, "a", "b"], "dataset undo": [images], "dataset sheet": [images, "--out", home + "/sheet.png"],
    "recommend": ["ink"], "dataset leave": [images, "a.png"], "dataset take": [images, "--all"], "job attach": ["x"], "runs ls": [],
    "verify": [], "facets": [], "view ls": [], "collection ls": [], "dupes": [], "journal": [], "undo": [], "watch": ["--until-eof"],
    "images ls": [], "images find": [], "images scan": [images], "images unmatched": [], "images uses": ["ink"],
    "images show": [images + "/a.png"], "prompt": ["a (b:1.2) <lora:ink:0.8:lbw=MIDD>"],
    "organise": ["--template", "{base}/{model}", "--dry-run"], "rename": ["ink", "ink", "--dry-run"],
    "sweep": ["ink", "a", "--dry-run"], "grid ls": [], "grid axes": [], "engine": [],
    "sidecar read": [], "export": ["-o", home + "/all.jsonl"], "import": [home + "/all.jsonl", "--yes"],
}
heavy = {"torch", "diffusers", "transformers", "peft", "accelerate", "huggingface_hub"}
for words, more in told.items():
    status = run([*words.split(), *more])
    found = heavy & set(sys.modules)
    assert not found, (words, found)
    print(words.split()[0], status)
"""


def test_no_command_that_neither_trains_nor_draws_loads_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hubman.cli.main import COMMANDS
    from hubman.sandbox import Sandbox
    from tests.support.civitai import write_lora, write_png

    monkeypatch.setenv("HUBMAN_HOME", str(tmp_path / "home"))
    lora = write_lora(tmp_path / "home" / "loras" / "ink.safetensors")
    (tmp_path / "images").mkdir()
    write_png(tmp_path / "images" / "a.png")
    with Sandbox(tmp_path / "sandbox") as sandbox:
        monkeypatch.setenv("HUBMAN_CIVITAI_URL", sandbox.url)
        running = session.announce(tmp_path / "home" / "sandbox", sandbox.url, sandbox.token())
        told = _run(
            sys.executable,
            "-c",
            _COMMANDS,
            *map(str, (tmp_path / "home", lora, tmp_path / "remote", tmp_path / "images")),
        )
        running.unlink()
    ran = {line.split()[0] for line in told.splitlines() if line.rpartition(" ")[2] in {"0", "1"}}
    assert ran >= set(COMMANDS) - {
        "demo",
        "train",
        "convert",
        "merge",
        "resize",
        "extract",
        "generate",
        "combine",
        "sandbox",
        "login",
    }


@pytest.mark.parametrize("module", ["hubman.cli.main", "tui.app"])
def test_opening_the_program_loads_nothing_heavy(module: str) -> None:
    assert not _loaded_after(f"import {module}") & _HEAVY
