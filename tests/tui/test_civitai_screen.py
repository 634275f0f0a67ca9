from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hubman.jobs.records import Job
from hubman.sandbox import seed_model
from registry.database import Registry
from registry.scan import index_file
from tests.support.civitai import Bench, bench, write_lora, write_png
from tests.support.screens import notes_of, press, settle, text_of, write
from tui.app import HubmanApp
from tui.screens.civitai import CivitaiScreen
from tui.widgets.hit_list import HitList
from tui.screens.publish import PublishScreen
from tui.widgets.picture import Picture

OpenApp = Callable[[], HubmanApp]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path) as running:
        monkeypatch.setenv("HUBMAN_CIVITAI_URL", running.sandbox.url)
        monkeypatch.setenv("CIVITAI_API_KEY", running.sandbox.token("creator"))
        yield running


async def test_a_search_shows_hits_details_and_what_is_here_already(
    open_app: OpenApp, home: Path, site: Bench, tmp_path: Path
) -> None:
    here = write_lora(tmp_path / "here.safetensors", seed=1)
    seed_model(site.sandbox, here, name="Harbor ink", words=["hrbr"], description="<p>Fine &amp; <b>wet</b></p>")
    other = write_lora(tmp_path / "other.safetensors", seed=2)
    seed_model(site.sandbox, other, name="Harbor wash", previews=[(write_png(tmp_path / "p.png"), {})])
    with Registry(home) as registry:
        index_file(registry, here)
    app = open_app()
    async with app.run_test(size=(140, 36)) as pilot:
        await press(pilot, "2")
        await press(pilot, "slash")
        await write(pilot, "harbor")
        await press(pilot, "enter")
        rows = app.screen.query_one(HitList)
        held = {hit.model.name: bool(hit.held) for hit in map(rows.item, range(rows.row_count)) if hit}
        assert held == {"Harbor ink": True, "Harbor wash": False}
        texts = []
        for _ in range(2):
            texts.append(text_of(app))
            await press(pilot, "j")
        assert any("Fine & wet" in text for text in texts)
        assert any("hrbr" in text for text in texts)


async def test_one_key_starts_a_pull_and_what_is_here_is_not_pulled_again(
    open_app: OpenApp, home: Path, site: Bench, tmp_path: Path, started: list[Job]
) -> None:
    lora = write_lora(tmp_path / "harbor.safetensors")
    seeded = seed_model(site.sandbox, lora, name="Harbor")
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await press(pilot, "2")
        await press(pilot, "slash")
        await write(pilot, "harbor")
        await press(pilot, "enter", "space")
        assert [job.request["ref"] for job in started] == [str(seeded.version_id)]
        with Registry(home) as registry:
            index_file(registry, lora)
        await press(pilot, "slash", "enter", "space")
        assert len(started) == 1
        assert notes_of(app)[-1] == "Harbor is in the library already"


async def test_a_search_that_fails_is_one_line(open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", "no address")
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await press(pilot, "2")
        await press(pilot, "slash")
        await write(pilot, "x")
        await press(pilot, "enter")
        assert isinstance(app.screen, CivitaiScreen)
        assert "HUBMAN_CIVITAI_URL is not a web address" in text_of(app)


async def test_a_bad_address_is_refused_under_its_field(open_app: OpenApp, started: list[Job]) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "plus")
        await write(pilot, "nonsense here")
        await press(pilot, "enter")
        assert "AIR" in text_of(app)
        assert started == []


async def test_the_publish_form_shows_every_check_and_starts_the_job(
    open_app: OpenApp, home: Path, site: Bench, tmp_path: Path, started: list[Job]
) -> None:
    with Registry(home) as registry:
        index_file(registry, write_lora(tmp_path / "harbor.safetensors"))
    app = open_app()
    async with app.run_test(size=(140, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        assert isinstance(app.screen, PublishScreen)
        assert app.screen.query_one(Picture).path is None
        assert "✘" in text_of(app), "no picture and no base: something stands in the way"
        await press(pilot, "p")
        assert started == []
        assert "stands in the way" in notes_of(app)[-1]
        await press(pilot, "escape")
        assert app.current_mode == "library"
        assert not isinstance(app.screen, PublishScreen)
