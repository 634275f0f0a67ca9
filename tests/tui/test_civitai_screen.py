"""Mode 2 against a sandbox: one for the module, with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from hubman.civitai import follow, queue
from hubman.jobs.records import Job
from hubman.sandbox import Fault, seed_model
from registry import pull_queue
from registry.database import Registry
from registry.pull_queue import Wanted
from registry.scan import index_file
from tests.support.civitai import Bench, bench, write_lora, write_png
from tests.support.screens import notes_of, press, settle, text_of, write
from tui.app import HubmanApp
from tui.screens.civitai import CivitaiScreen
from tui.screens.civitai_page import PageScreen
from tui.screens.civitai_queue import QueueScreen
from tui.services.civitai_link import Link
from tui.widgets.hit_cards import HitCards
from tui.widgets.hit_list import HitList
from tui.widgets.picture import Picture

OpenApp = Callable[[], HubmanApp]
HOSTILE = "\x1b[2J[bold]Quillon[/bold] \u202eevil\nline " + "長い名前" * 30
META = {"prompt": "a harbor at dusk", "negativePrompt": "fog", "steps": 20, "seed": 7}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("site")
    with bench(folder) as running:
        files = [
            write_lora(folder / f"{name}.safetensors", seed=at) for at, name in enumerate(("ink", "wash", "night"))
        ]
        shown = write_png(folder / "p.png"), META
        text = "<p>Fine &amp; <b>wet</b></p>"
        seed_model(running.sandbox, files[0], name="Quillon ink", words=["hrbr"], description=text, previews=[shown])
        wash = seed_model(
            running.sandbox, files[1], name="Quillon wash", base_model="Pony", previews=[shown, shown, shown]
        )
        seed_model(running.sandbox, files[2], name="Quillon night", previews=[shown], model_fields={"nsfw": True})
        seed_model(running.sandbox, files[2], name=HOSTILE, kind="LoCon")
        _raise_levels(running, wash.post_id)
        running.sandbox.seed_catalogue(40)
        yield running


def _raise_levels(site: Bench, post: int) -> None:
    """All pictures of a post but its first are of level X."""
    store = site.sandbox.world.store
    with store.transaction():
        for image in site.sandbox.world.images(post)[1:]:
            store.put("image", {**image, "nsfwLevel": 8})


@pytest.fixture
def app(home: Path, site: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubmanApp]:
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", site.sandbox.url)
    monkeypatch.setenv("CIVITAI_API_KEY", site.sandbox.token("creator"))
    app = HubmanApp(home, poll=0)
    app.link = Link(home, lambda _home, _site: site.client(home=home))
    yield app
    site.sandbox.settings.faults.clear()


def hits(app: HubmanApp) -> dict[str, str]:
    """The names of what is listed, and what the library has of each."""
    screen = app.screen
    assert isinstance(screen, CivitaiScreen)
    return {hit.model.name: hit.mark for hit in map(screen.rows.item, range(screen.rows.row_count)) if hit}


async def search(pilot: Pilot[None], line: str) -> None:
    """As if it had been written and sent, in fewer steps."""
    if pilot.app.current_mode != "civitai":
        await pilot.app.switch_mode("civitai")
        await settle(pilot)
    screen = pilot.app.screen
    assert isinstance(screen, CivitaiScreen)
    screen.search_for(line)
    await settle(pilot)


async def test_a_search_shows_hits_details_and_what_is_here_already(app: HubmanApp, home: Path, site: Bench) -> None:
    with Registry(home) as registry:
        index_file(registry, site.folder / "ink.safetensors")
    async with app.run_test(size=(140, 44)) as pilot:
        await press(pilot, "2", "slash")
        await write(pilot, "quillon")
        await press(pilot, "enter")
        found = hits(app)
        assert (found["Quillon ink"], found["Quillon wash"]) == ("here", "")
        assert "Quillon night" not in found, "what its creator calls adult is above PG-13"
        assert "1 here · 1 above PG-13 left out: L" in text_of(app)
        await press(pilot, "G")
        text = text_of(app)
        assert "Fine & wet" in text
        assert "hrbr" in text
        assert "✔ in the library" in text


async def test_hostile_names_are_one_harmless_line(app: HubmanApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await search(pilot, "quillon type:locon")
        for key in ("j", "enter"):
            text = text_of(app)
            assert "[bold]Quillon[/bold]" in text
            assert not set(text) & {"\x1b", "\u202e"}
            await press(pilot, key)
        assert isinstance(app.screen, PageScreen)
        assert "no picture" in text_of(app)


async def test_an_earlier_answer_is_dropped_and_a_wrong_word_pointed_at_over_what_was_found(app: HubmanApp) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await search(pilot, "")
        assert isinstance(app.screen, CivitaiScreen)
        app.screen.search_for("quillon ink")
        app.screen.search_for("quillon wash")
        await settle(pilot)
        assert hits(app) == {"Quillon wash": ""}
        await search(pilot, "quillon base:SDXL")
        lines = text_of(app).splitlines()
        assert lines[1].index("SDXL") == lines[2].index("^^^^")
        assert "did you mean SDXL 1.0?" in lines[3]
        assert hits(app) == {"Quillon wash": ""}


async def test_a_search_that_fails_is_one_line(open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", "no address")
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await search(pilot, "x")
        assert isinstance(app.screen, CivitaiScreen)
        assert "HUBMAN_CIVITAI_URL is not a web address" in text_of(app)


async def test_menus_write_into_the_line(app: HubmanApp) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await search(pilot, "quillon")
        await press(pilot, "f")
        await write(pilot, "pony")
        await press(pilot, "enter", "escape")
        assert app.screen.query_one("#search", Input).value == "quillon base:Pony"
        assert hits(app) == {"Quillon wash": ""}
        await press(pilot, "S", "j", "enter")
        assert app.screen.query_one("#search", Input).value == "quillon base:Pony sort:newest"
        await press(pilot, "at")
        assert app.screen.query_one("#search", Input).value == "type:any sort:newest by:creator"
        assert len(hits(app)) == 3


async def test_the_level_decides_what_is_asked_and_what_is_covered(app: HubmanApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await search(pilot, "quillon wash")
        await press(pilot, "enter")
        assert isinstance(app.screen, PageScreen)
        assert "2 above PG-13 left out: L" in text_of(app)
        await press(pilot, "L", "G", "enter")
        texts = [text_of(app)]
        await press(pilot, "left_square_bracket")
        texts.append(text_of(app))
        assert "1 of 3: [ ]" in texts[0]
        assert "3 of 3: [ ]" in texts[1]
        assert "above" not in texts[0]
        assert any("32x24 · X" in text for text in texts), "two of three are"
        await press(pilot, "escape")
        await search(pilot, "quillon night")
        assert list(hits(app)) == ["Quillon night"]


async def test_a_page_shows_files_scans_texts_and_pictures_whose_prompt_goes_to_generate(
    app: HubmanApp, home: Path
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await search(pilot, "quillon ink")
        await press(pilot, "enter")
        text = text_of(app)
        for part in ("ink.safetensors · SafeTensor · full · fp16", "scanned, nothing found", "Fine & wet", "licence",
                     "a harbor at dusk", "fog", "seed", "1 of 1: [ ]"):  # fmt: skip
            assert part in text, part
        assert app.screen.query_one(Picture).path is not None
        await press(pilot, "Y")
        assert app.clipboard == "hrbr"
        await press(pilot, "y")
        assert "/models/" in app.clipboard
        assert "modelVersionId=" in app.clipboard
        await press(pilot, "f")
        with Registry(home) as registry:
            assert [one.name for one in follow.following(registry)] == ["creator"]
        await press(pilot, "T")
        assert app.current_mode == "generate"
        assert app.screen.query_one(TextArea).text == "a harbor at dusk"
        await press(pilot, "2")
        assert isinstance(app.screen, CivitaiScreen), "the page is closed"


async def test_pages_come_as_the_cursor_nears_the_end_and_versions_are_stepped_through(app: HubmanApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await search(pilot, "type:any nsfw:xxx limit:30")
        assert len(hits(app)) == 30
        assert "30 models so far" in text_of(app)
        await press(pilot, "G")
        assert len(hits(app)) > 30
        screen = app.screen
        assert isinstance(screen, CivitaiScreen)
        found = [hit for hit in map(screen.rows.item, range(screen.rows.row_count)) if hit]
        screen.rows.cursor = next(at for at, hit in enumerate(found) if len(hit.model.versions) > 1)
        await settle(pilot)
        assert screen.hit is not None
        versions = screen.hit.model.versions
        await press(pilot, "l")
        assert screen.version == versions[1]
        await press(pilot, "enter")
        assert isinstance(app.screen, PageScreen)
        assert app.screen.version == versions[1]
        assert f"(2 of {len(versions)}: h l)" in text_of(app)
        await press(pilot, "h")
        assert app.screen.version == versions[0]
        await press(pilot, "escape", "n")
        assert "there are no more results" in notes_of(app)[-1]


async def test_cards_show_pictures_and_cover_what_is_above(app: HubmanApp) -> None:
    async with app.run_test(size=(100, 40)) as pilot:
        await search(pilot, "quillon nsfw:xxx sort:oldest")
        await press(pilot, "c")
        cards = app.screen.query_one(HitCards)
        assert cards.row_count == 4
        assert any(mark in text_of(app) for mark in "▀▄█▌"), "pictures are drawn"
        await press(pilot, "X")
        assert "Quillon" not in text_of(app)
        await press(pilot, "X", "c")
        assert app.screen.query_one(HitList).row_count == 4


async def test_an_answer_of_the_cache_is_shown_with_its_age(app: HubmanApp, site: Bench) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await search(pilot, "quillon ink")
        await press(pilot, "enter", "escape")
        site.clock.sleep(7200)
        site.sandbox.settings.faults.append(Fault(path="/api/v1", status=503, times=99))
        await search(pilot, "quillon ink")
        assert list(hits(app)) == ["Quillon ink"]
        assert "no answer: as of " in text_of(app)
        await press(pilot, "enter")
        assert "as of " in text_of(app)
        await press(pilot, "escape")
        await search(pilot, "never seen before")
        assert list(hits(app)) == ["Quillon ink"]
        assert "503" in text_of(app) or "try again" in text_of(app)


# the queue --------------------------------------------------------------------------------------------------------


async def test_one_key_queues_a_pull_and_what_is_here_is_not_pulled_again(
    app: HubmanApp, home: Path, site: Bench, started: list[Job]
) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await search(pilot, "quillon ink")
        await press(pilot, "space", "space")
        with Registry(home) as registry:
            (item,) = queue.items(registry)
        assert isinstance(app.screen, CivitaiScreen)
        assert app.screen.version is not None
        assert (item.ref, item.state) == (str(app.screen.version.id), "queued")
        assert [job.kind for job in started] == ["downloads"]
        assert "1 waits" in text_of(app)
        with Registry(home) as registry:
            index_file(registry, site.folder / "ink.safetensors")
        await press(pilot, "slash", "enter", "space")
        assert notes_of(app)[-1] == "Quillon ink is in the library already"


async def test_a_bad_address_is_refused_under_its_field(app: HubmanApp, home: Path) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await press(pilot, "2", "plus")
        await write(pilot, "nonsense here")
        await press(pilot, "enter")
        assert "AIR" in text_of(app)
        with Registry(home) as registry:
            assert queue.items(registry) == []


@pytest.mark.usefixtures("started")
async def test_the_queue_is_handled_by_keys(app: HubmanApp, home: Path) -> None:
    with Registry(home) as registry:
        wanted = [Wanted(ref=name, same=name, title=f"Model {name}", total=1000) for name in "abcd"]
        numbers = pull_queue.add(registry, wanted)
        with registry.transaction() as db:
            db.execute("UPDATE pulls SET state = 'failed', error = 'it has to be bought' WHERE id = ?", (numbers[3],))

    def states() -> list[tuple[str, str]]:
        with Registry(home) as registry:
            return [(item.ref, item.state) for item in queue.items(registry)]

    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        assert "3 wait · 1 failed" in text_of(app)
        await press(pilot, "Q")
        assert isinstance(app.screen, QueueScreen)
        await press(pilot, "space")
        assert states()[0] == ("a", "paused")
        assert "space go on" in text_of(app)
        await press(pilot, "J")
        assert [ref for ref, _ in states()][:3] == ["b", "a", "c"]
        await press(pilot, "J", "t", "space")
        assert states()[:3] == [("a", "queued"), ("b", "queued"), ("c", "queued")]
        await press(pilot, "P")
        assert {state for _, state in states()[:3]} == {"paused"}
        await press(pilot, "P", "G")
        assert "it has to be bought" in text_of(app)
        await press(pilot, "r")
        assert states()[-1] == ("d", "queued")
        await press(pilot, "g", "d")
        assert [ref for ref, _ in states()] == ["b", "c", "d"]
        await press(pilot, "escape")
        assert isinstance(app.screen, CivitaiScreen)
