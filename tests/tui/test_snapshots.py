"""A few pictures of whole screens; everything else is asserted in words. Redraw with ``pytest --snapshot-update``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from registry.database import Registry
from tests.support import library_factory
from tests.support.jobs import fake_job
from tests.support.screens import press, settle
from tests.support.trainings import training
from tui.app import HubmanApp
from tui.screens.train import TrainScreen

OpenApp = Callable[[], HubmanApp]


def test_the_library_in_three_panes(
    snap_compare: Any, open_app: OpenApp, home: Path, models: list[str], tmp_path: Path
) -> None:
    with Registry(home) as registry:
        library_factory.add_pictures(registry, models, tmp_path / "pictures")

    async def look(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await press(pilot, "j", "j")

    assert snap_compare(open_app(), terminal_size=(120, 36), run_before=look)


def test_a_sweep_with_its_curve(snap_compare: Any, open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    pictures = library_factory.write_pictures(tmp_path / "cells", 5)
    strengths = [0.0, 0.25, 0.5, 0.75, 1.0]
    curve = [{"strength": s, "distance": 0.5 * s, "clip": 0.31 - 0.05 * s * s} for s in strengths]
    request = {"version_ids": ["i1"], "strengths": strengths, "seeds": [7], "prompt": "a red circle"}
    result = {
        "images": [str(path) for path in pictures],
        "curve": curve,
        "suggested": 0.75,
        "reason": "nothing speaks against it up to here",
    }
    with Registry(home) as registry:
        fake_job(registry, "sweep", "sweep ink", request, state="done", result=result)
    app = open_app()

    async def look(pilot: Pilot[Any]) -> None:
        app.poll_soon()
        await settle(pilot)
        await press(pilot, "4")

    assert snap_compare(app, terminal_size=(120, 36), run_before=look)


@pytest.mark.usefixtures("in_train")
def test_the_images_of_a_training(snap_compare: Any, open_app: OpenApp, tmp_path: Path) -> None:
    folder = tmp_path / "ink"
    for number, path in enumerate(library_factory.write_pictures(folder, 8)[:6]):
        path.with_suffix(".txt").write_text(f"zvk style, shapes number {number}")
    shutil.copy(folder / "02.png", folder / "twin.png")
    (folder / "07.png").write_bytes(b"no picture")
    app = open_app()

    async def look(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        assert isinstance(app.screen, TrainScreen)
        app.screen.open_dataset(folder)
        await settle(pilot)
        await press(pilot, "i", "j", "j", "space", "j", "c")

    assert snap_compare(app, terminal_size=(120, 36), run_before=look)


@pytest.mark.usefixtures("in_train")
def test_a_training_as_it_goes(snap_compare: Any, open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    with Registry(home) as registry:
        training(registry, tmp_path, "paper", (0.5, 0.4), state="failed", error="the disk is full: free some space")
        training(registry, tmp_path, "ink", (0.5, 0.4, 0.3, 0.35))
    app = open_app()

    async def look(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        app.poll_soon()
        await press(pilot, "r")

    assert snap_compare(app, terminal_size=(120, 36), run_before=look)
