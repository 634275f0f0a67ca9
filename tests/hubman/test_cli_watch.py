"""``hubman watch`` as a program meets it: lines of JSON, one process at a time, an end with who started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry import library, roots
from registry.database import Registry
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Registry(tmp_path / "home") as registry:
        (tmp_path / "loras").mkdir()
        write_model(tmp_path / "loras" / "a.safetensors", small_lora(), seed=1)
        roots.add(registry, tmp_path / "loras")
    return tmp_path / "home"


def _start(home: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hubman.cli.main", "watch", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HUBMAN_HOME": str(home)},
    )


@pytest.fixture
def watching(home: Path) -> Iterator[subprocess.Popen[str]]:
    with _start(home, "--json", "--until-eof") as process:
        yield process
        process.kill()


def _wait_for(process: subprocess.Popen[str], **wanted: object) -> dict[str, object]:
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, object] = json.loads(line)
        if wanted.items() <= event.items():
            return event
    raise AssertionError(f"it ended without {wanted}")


def test_it_tells_what_is_there_and_ends_with_its_input(home: Path, watching: subprocess.Popen[str]) -> None:
    assert _wait_for(watching, waiting=0)["models"] == 1
    assert watching.stdin is not None
    watching.stdin.close()
    assert watching.wait(timeout=30) == 0
    with Registry(home) as registry:
        assert [row.name for row in library.list_models(registry)] == ["a"]


def test_a_second_one_has_nothing_to_do(home: Path, watching: subprocess.Popen[str]) -> None:
    _wait_for(watching, models=1)
    with _start(home) as second:
        out, err = second.communicate(timeout=30)
    assert (second.returncode, out) == (1, "")
    assert err.startswith("hubman: something else keeps this index live already")


def test_a_signal_ends_it_in_peace(home: Path) -> None:
    with _start(home) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("1 models, checked in ")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
