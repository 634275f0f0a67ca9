"""Drive the publish screens in tests: answers, rows, and jobs that are done in this process."""

from __future__ import annotations

from textual.pilot import Pilot

from hubman.jobs import runner
from hubman.jobs.records import Job
from registry.database import Registry
from tests.support.civitai import Bench
from tests.support.publishing import NAME
from tests.support.screens import settle
from tui.app import HubmanApp
from tui.screens.publish import PublishScreen
from tui.widgets.publish_lists import FormList


def form(app: HubmanApp) -> PublishScreen:
    assert isinstance(app.screen, PublishScreen), app.screen
    return app.screen


def run_job(app: HubmanApp, job: Job) -> Job:
    """Do a job's work here, as its process would."""
    with Registry(app.data.home) as registry:
        return runner.run(registry, job.id)


async def told(app: HubmanApp, pilot: Pilot[None]) -> None:
    """Have the app look at its jobs."""
    app.poll_soon()
    await settle(pilot)


async def to_row(app: HubmanApp, pilot: Pilot[None], name: str) -> None:
    rows = form(app).query_one(FormList)
    rows.focus()
    names = [rows.item(at).name for at in range(rows.row_count)]  # type: ignore[union-attr]
    rows.cursor = names.index(name)
    await settle(pilot)


def value(app: HubmanApp, name: str) -> str:
    rows = form(app).query_one(FormList)
    found = [rows.item(at) for at in range(rows.row_count)]
    return next(line.value for line in found if line is not None and line.name == name)


def the_page(site: Bench) -> dict[str, object]:
    """The one version that there is, with its three pictures."""
    models = site.sandbox.models_named(NAME)
    assert [(model["status"], len(model["versions"])) for model in models] == [("Published", 1)]
    version: dict[str, object] = models[0]["versions"][0]
    assert len(models[0]["versions"][0]["posts"][0]["images"]) == 3
    return version
