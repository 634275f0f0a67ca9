from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textual.widgets import Input, Static

from hubman.jobs.records import Job
from registry.database import Registry
from registry.scan import index_file
from tests.support.civitai import write_lora
from tests.support.screens import press, settle
from tui.app import HubmanApp
from tui.widgets.dialogs import Ask

OpenApp = Callable[[], HubmanApp]


async def test_marked_loras_are_merged_at_the_ratios_that_are_typed(
    open_app: OpenApp, home: Path, tmp_path: Path, started: list[Job]
) -> None:
    with Registry(home) as registry:
        for seed, name in enumerate(("ink", "paper wash"), 1):
            index_file(registry, write_lora(tmp_path / f"{name}.safetensors", seed=seed))
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "M")
        await settle(pilot)
        assert not isinstance(app.screen, Ask)
        await press(pilot, "asterisk", "M")
        await settle(pilot)
        assert isinstance(app.screen, Ask)
        field = app.screen.query_one(Input)
        assert {"ink:1", "'paper wash:1'"} <= {field.value[:5], field.value[6:], field.value[-5:], field.value[:14]}
        field.value = "ink:0 'paper wash:1'"
        await press(pilot, "enter")
        assert "the ratio of ink can't be 0" in str(app.screen.query_one("#error", Static).render())
        app.screen.query_one(Input).value = "ink:0.7 'paper wash:-0.5'"
        await press(pilot, "enter")
        await settle(pilot)
    (job,) = started
    assert job.kind == "merge"
    assert [(one["name"], one["ratio"]) for one in job.request["parents"]] == [("ink", 0.7), ("paper wash", -0.5)]
