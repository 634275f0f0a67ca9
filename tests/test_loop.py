"""The whole loop, as a newcomer runs it: the demo's own report is held to the bars."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> dict[str, Any]:
    """What the demo says. It runs once, whichever processes the tests of this module are given to."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"demo-{testrun_uid}"
    folder.mkdir(exist_ok=True)
    said = folder / "report.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            said.write_text(_demo(folder))
    found: dict[str, Any] = json.loads(said.read_text())
    return found


def _demo(folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HUBMAN", "CIVITAI"))}
    options = ("--headless", "--json", "--seeds", "4", "--keep", str(folder / "play"))
    done = subprocess.run(
        [sys.executable, "-m", "hubman.cli.main", "demo", *options],
        env={**environment, "HUBMAN_HOME": str(folder / "untouched")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout[-3000:]
    return done.stdout


def test_every_step_holds(report: dict[str, Any]) -> None:
    assert report["held"]
    assert [step["name"] for step in report["steps"] if not step["held"]] == []


def test_the_style_rises_with_strength_and_shapes_survive(report: dict[str, Any]) -> None:
    style = next(lora for lora in report["loras"] if lora["style"] == "style")
    seen = list(style["detected"].values())
    assert list(style["detected"]) == ["0", "0.25", "0.5", "0.75", "1"]
    assert all(low < high for low, high in pairwise(seen)), seen
    assert style["shapes"][f"{style['chosen']:g}"] >= 0.7 * style["shapes"]["0"]


def test_published_trained_and_pulled_back_are_the_same_bytes(report: dict[str, Any]) -> None:
    style = next(lora for lora in report["loras"] if lora["style"] == "style")
    back = next(step for step in report["steps"] if step["name"] == "pull it back")
    assert back["facts"]["sha256"] == style["sha256"]
    assert back["facts"]["strength"] == style["chosen"]
    assert back["facts"]["words"]


def test_memory_stays_below_two_gigabytes(report: dict[str, Any]) -> None:
    assert 0 < report["peak_memory_mb"] < 2000


def test_the_page_holds_its_pictures(report: dict[str, Any]) -> None:
    page = Path(report["html"]).read_text()
    assert page.count("data:image/png;base64,") >= 10
    assert "<polyline" in page
    fetched = re.findall(r"""(?:src|srcset|poster|data|<link[^>]*href)\s*=\s*["']([^"']*)""", page)
    assert fetched
    assert all(address.startswith("data:") for address in fetched)
    assert "url(" not in page.replace("url(data:", "")


def test_the_second_home_is_a_registry_of_its_own(report: dict[str, Any]) -> None:
    listed = [
        subprocess.run(
            [sys.executable, "-m", "hubman.cli.main", "ls", "--json"],
            env={**os.environ, "HUBMAN_HOME": report[home]},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for home in ("home", "second_home")
    ]
    # The pictures that were drawn with a model each machine counts for itself, and "here" is another place on each.
    own = {"uses": 0, "used_at": None, "where": "here"}
    here, there = ([{**row, **own} for row in json.loads(text)] for text in listed)
    assert here == there
    assert len(here) == 3


def test_nothing_outside_its_folder_is_touched(report: dict[str, Any]) -> None:
    assert not (Path(report["home"]).parent.parent / "untouched").exists()
