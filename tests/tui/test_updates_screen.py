"""The screen of updates over the library: what it says, and what one does with an update."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.containers import VerticalScroll

from hubman.civitai import follow, queue
from hubman.civitai.archiving import keep
from hubman.civitai.records import model_from
from hubman.jobs import store
from hubman.jobs.records import Job
from registry import library
from registry.database import Registry
from tests.support.library import add_entry
from tests.support.screens import notes_of, press, settle, text_of
from tui import news
from tui.app import HubmanApp
from tui.screens.updates import UpdateList, UpdatesScreen
from tui.widgets.dialogs import Confirm

OpenApp = Callable[[], HubmanApp]
SINCE = "2026-01-01T00:00:00.000Z"


def _page(number: int, name: str, *versions: dict[str, Any], creator: str = "mori") -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "type": "LORA",
        "creator": {"username": creator},
        "modelVersions": list(versions),
    }


def _version(number: int, name: str, **fields: Any) -> dict[str, Any]:
    known = {"baseModel": "SD 1.5", "publishedAt": "2026-08-01T00:00:00.000Z", "trainedWords": ["ink"]}
    return {"id": number, "name": name, **known, **fields}


@pytest.fixture
def news_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models that are here with news, one of them in early access, and one that a followed creator published."""
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", "http://localhost:9")
    pages = [
        _page(
            11, "Clay", _version(102, "v2", baseModel="SDXL 1.0", description="<p>Firmer [b]hands[/b].</p>", trainedWords=["clay"]),
            _version(101, "v1"),
        ),
        _page(
            12, "Ink\x1b[31m wash", _version(112, "v2", earlyAccessDeadline="2100-01-02T00:00:00.000Z"), _version(111, "v1"),
            creator="ann",
        ),
        _page(13, "Paper", _version(121, "first"), creator="ann"),
    ]  # fmt: skip
    with Registry(home) as registry:
        for number, name, version in ((11, "Clay", 101), (12, "Ink", 111)):
            item = add_entry(registry, name)
            library.set_facts(registry, item, "civitai", {"civitai_version_id": version, "version_name": "v1"})
            library.set_facts(registry, item, "civitai", {"civitai_model_id": number})
        follow.follow(registry, creator="ann", now=SINCE)
        for page in pages:
            keep(registry, page, model_from(page), SINCE)
    return home


def _screen(app: HubmanApp) -> UpdatesScreen:
    assert isinstance(app.screen, UpdatesScreen)
    return app.screen


def _names(app: HubmanApp) -> list[str]:
    rows = _screen(app).query_one(UpdateList)
    return [item.name for at in range(rows.row_count) if (item := rows.item(at)) is not None]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_updates_are_listed_with_what_changed(
    open_app: OpenApp, news_home: Path, started: list[Job], size: tuple[int, int]
) -> None:
    app = open_app()
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await press(pilot, "U")
        assert _names(app) == ["Clay", "Ink", "Paper"]
        said = text_of(app)
        assert "v1 → v2" in said
        assert "E 2100-01-02" in said
        assert "followed" in said
        detail = _screen(app).query_one("#detail", VerticalScroll)
        assert detail.size.height >= 3
        assert "SD 1.5 → SDXL 1.0" in said
        assert "+clay, -ink" in said
        if size[1] == 40:
            assert "Firmer [b]hands[/b]." in said, "no markup from outside"
        assert "\x1b" not in said


async def test_an_update_is_queued_opened_ignored_and_its_creator_followed(
    open_app: OpenApp, news_home: Path, started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "U", "space")
        with Registry(news_home) as registry:
            assert [item.ref for item in queue.items(registry)] == ["http://localhost:9/models/11?modelVersionId=102"]
        assert "queued" in text_of(app)
        await press(pilot, "enter", "o")
        with Registry(news_home) as registry:
            assert len(queue.items(registry)) == 1, "each once"
        assert any("copied http://localhost:9/models/11?modelVersionId=102" in note for note in notes_of(app))
        await press(pilot, "i")
        assert _names(app) == ["Ink", "Paper"]
        await press(pilot, "z")
        assert _names(app) == ["Clay", "Ink", "Paper"]
        await press(pilot, "k", "I")
        with Registry(news_home) as registry:
            assert [one.is_everything for one in follow.ignored(registry)] == [True]
        await press(pilot, "f")
        assert _names(app) == ["Ink"], "Paper was news because its creator was followed"
        assert "unfollow" not in text_of(app)
        await press(pilot, "f")
        with Registry(news_home) as registry:
            assert [one.name for one in follow.following(registry)] == ["ann"]
        assert "unfollow" in text_of(app)


async def test_all_that_can_be_had_are_queued_at_once(open_app: OpenApp, news_home: Path, started: list[Job]) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "U", "asterisk")
        assert isinstance(app.screen, Confirm)
        assert "early access until 2100-01-02, left out" in text_of(app)
        await press(pilot, "y")
        with Registry(news_home) as registry:
            assert len(queue.items(registry)) == 2
        assert [job.kind for job in started] == ["updates", "downloads"]


async def test_it_shows_what_is_known_until_the_answer_comes_and_tells_it_once(
    open_app: OpenApp, news_home: Path, started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "U")
        assert "3 updates · asking Civitai" in text_of(app)
        await press(pilot, "r")
        assert len(started) == 1, "it is being asked already"
        with Registry(news_home) as registry:
            page = _page(11, "Clay", _version(103, "v3"), _version(101, "v1"))
            keep(registry, page, model_from(page), SINCE)
            store.finish(registry, started[0].id, "done", result={"updates": [{}], "asked": 1})
        for _ in range(2):
            app.poll_soon()
            await settle(pilot)
        assert "v1 → v3" in text_of(app)
        assert [note for note in notes_of(app) if "newer version" in note] == ["1 model with a newer version"]
        await press(pilot, "r")
        with Registry(news_home) as registry:
            store.finish(registry, started[1].id, "failed", error="civitai.com can't be reached: check the network")
        app.poll_soon()
        await settle(pilot)
        assert "this is from before" in text_of(app)
        assert any("can't be reached" in note for note in notes_of(app))


async def test_without_news_it_says_what_to_do(open_app: OpenApp, home: Path, folder: Path, started: list[Job]) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "U")
        assert "Asking Civitai" in text_of(app)
        with Registry(home) as registry:
            store.finish(registry, started[0].id, "done", result={})
        app.poll_soon()
        await settle(pilot)
        assert "hubman follow creator NAME" in text_of(app)
        await press(pilot, "space")
        assert "there is no update here" in notes_of(app)
        await press(pilot, "escape")
        assert not isinstance(app.screen, UpdatesScreen)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"updates": [{}, {}]}, "2 models with a newer version"),
        ({"updates": [], "asked": 0, "unknown": 1, "names": ["ink"]}, "not known on Civitai: ink"),
        (
            {"updates": [], "asked": 2, "unknown": 5, "names": ["clay", "ink", "old"]},
            "all that Civitai knows are at the newest version that it has; not known on Civitai: clay, ink, old and 2 more",
        ),
        ({}, "there is no model to ask for"),
    ],
)
def test_what_came_of_asking_is_told_in_words(result: dict[str, Any], said: str) -> None:
    assert news.told(result) == said
