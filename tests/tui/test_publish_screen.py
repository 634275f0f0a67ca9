"""The publish form and a publication as it goes, against a sandbox and a Hub on loopback; jobs run in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from hubman.jobs import runner
from hubman.jobs.records import Job
from hubman.progress import Progress
from hubman.sandbox import Fault
from registry import collecting, edits, library, previews
from registry.database import Registry
from registry.errors import HubError
from registry.scan import index_file
from tests.support.civitai import Bench, bench, write_lora, write_png
from tests.support.hub_server import TOKEN, hub_server
from tests.support.jobs import fake_job
from tests.support.publishing import GENERATION, NAME, make_version, publish_now
from tests.support.screens import notes_of, press, settle, text_of, write
from tui import publish_steps
from tui.app import HubmanApp
from tui.html_content import content
from tui.publish_steps import Transfer
from tui.screens.publish import PublishScreen
from tui.screens.publish_pictures import PublishPicturesScreen
from tui.screens.publish_run import PublishRunScreen
from tui.screens.publish_text import PublishTextScreen
from tui.widgets.dialogs import Confirm
from tui.widgets.facets import FacetList
from tui.widgets.picking import PickOne, PickWords
from tui.widgets.publish_lists import FindingList, FormList

OpenApp = Callable[[], HubmanApp]
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, chunk_size=1000) as running:
        monkeypatch.setenv("HUBMAN_CIVITAI_URL", running.sandbox.url)
        monkeypatch.setenv("CIVITAI_API_KEY", running.sandbox.token())
        monkeypatch.setenv("HUBMAN_CIVITAI_RATE", "1000")
        yield running


@pytest.fixture
def version_id(home: Path, tmp_path: Path, site: Bench) -> str:
    """A LoRA that lacks nothing but the answers that only a person can give."""
    with Registry(home) as registry:
        made = make_version(registry, tmp_path)
        picture = write_png(tmp_path / "green.png", "green")
        previews.add_preview(registry, made, picture, generation=GENERATION)
        return made


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


# from a training to a page ----------------------------------------------------------------------------------------------


async def test_one_key_and_one_confirmation_make_a_page_of_what_is_known(
    open_app: OpenApp, home: Path, site: Bench, version_id: str, started: list[Job]
) -> None:
    with Registry(home) as registry, site.client() as client:
        made = {"model_id": library.version(registry, version_id).model_id, "path": "harbor.safetensors"}
        fake_job(registry, "train", "train harbor", {"recipe": "x"}, state="done", result=made)
        publish_now(registry, client, version_id, draft=True)
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await press(pilot, "3", "r")
        await told(app, pilot)
        await press(pilot, "p")
        assert isinstance(app.screen, Confirm), text_of(app)
        assert f"public on {site.sandbox.url.partition('://')[2]}" in text_of(app)
        await press(pilot, "y")
        assert isinstance(app.screen, PublishRunScreen)
        assert run_job(app, started[0]).state == "done"
        await told(app, pilot)
        page = the_page(site)
        assert f"modelVersionId={page['id']}" in text_of(app)
        assert "✔ made public" in text_of(app)
        assert f"copied {site.sandbox.url}/models/" in notes_of(app)[-1]
        await press(pilot, "escape")
        assert app.current_mode == "train"
        assert not isinstance(app.screen, PublishScreen)


async def test_what_is_missing_comes_first_and_is_answered_with_a_key_each(
    open_app: OpenApp, site: Bench, version_id: str, started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        rows = form(app).query_one(FormList)
        assert [rows.item(at).state for at in range(2, 6)] == ["missing", "missing", "missing", ""]  # type: ignore[union-attr]
        assert "3 things to settle" in text_of(app)
        await press(pilot, "p")
        assert "3 things to settle first" in notes_of(app)[-1]
        await press(pilot, "n", "n", "n")
        assert "ready: p publishes" in text_of(app)
        assert value(app, "poi") == "no"
        await press(pilot, "p", "y")
        assert run_job(app, started[0]).state == "done"
        await told(app, pilot)
        assert the_page(site)["status"] == "Published"
        text = text_of(app)
        assert "·  published" in text.splitlines()[1]
        assert "esc back" in text.splitlines()[-1]
        await press(pilot, "escape", "p")
        assert "published: p sends what was changed" in text_of(app)
        await to_row(app, pilot, "name")
        await press(pilot, "enter")
        await write(pilot, "!")
        await press(pilot, "enter", "p")
        assert "Change the page of Harbor Style!?" in text_of(app)
        await press(pilot, "y")
        assert run_job(app, started[1]).state == "done"
        assert [one["status"] for one in site.sandbox.models_named(f"{NAME}!")] == ["Published"]


async def test_marked_models_become_versions_of_one(
    open_app: OpenApp, home: Path, site: Bench, version_id: str, tmp_path: Path, started: list[Job]
) -> None:
    with Registry(home) as registry:
        other = index_file(registry, write_lora(tmp_path / "models" / "harbor2.safetensors", seed=5))
        model = library.version(registry, other).model_id
        said = {"name": "Second", "version_name": "v2.0", "trigger_words": "hrbr", "base_model": "SD 1.5"}
        edits.edit(registry, model, other, said)
        previews.add_preview(registry, other, write_png(tmp_path / "grey.png", "gray"), generation=GENERATION)
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "asterisk", "p")
        assert "Publish Harbor Style in 2 versions" in text_of(app)
        assert "v2.0: trigger words" in text_of(app)
        await press(pilot, "n", "n", "n", "A")
        assert "ready" in text_of(app), text_of(app)
        await press(pilot, "p", "y")
        assert run_job(app, started[0]).state == "done"
        models = site.sandbox.models_named(NAME)
        assert [[version["name"] for version in one["versions"]] for one in models] == [["v2.0", "v1.0"]]


async def test_a_collection_is_published_under_its_own_name(
    open_app: OpenApp, home: Path, site: Bench, version_id: str
) -> None:
    with Registry(home) as registry:
        collecting.create(registry, "Docks")
        collecting.put(registry, "Docks", [library.version(registry, version_id).model_id])
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        facets = app.screen.query_one(FacetList)
        facets.focus()
        lines = [facets.item(at) for at in range(facets.row_count)]
        facets.cursor = next(at for at, line in enumerate(lines) if line is not None and line.value == "Docks")
        await press(pilot, "p")
        assert "Publish Docks on" in text_of(app)
        assert value(app, "name") == "Docks"


# the form ---------------------------------------------------------------------------------------------------------------


async def test_every_kind_of_field_is_asked_for_in_its_own_way(open_app: OpenApp, site: Bench, version_id: str) -> None:
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        await to_row(app, pilot, "name")
        await press(pilot, "enter")
        await write(pilot, "!")
        await press(pilot, "enter")
        assert (value(app, "name"), "you" in text_of(app)) == (f"{NAME}!", True)
        await to_row(app, pilot, "base_model")
        await press(pilot, "enter")
        assert isinstance(app.screen, PickOne)
        await write(pilot, "sdxl 1")
        await press(pilot, "enter")
        assert value(app, "base_model") == "SDXL 1.0"
        await to_row(app, pilot, "tags")
        await press(pilot, "enter")
        assert isinstance(app.screen, PickWords)
        await write(pilot, ", sty")
        await press(pilot, "tab", "enter")
        assert value(app, "tags") == "ink, style"
        await to_row(app, pilot, "strength")
        await press(pilot, "enter")
        app.screen.query_one(Input).value = "strong"
        await press(pilot, "enter")
        assert "strength can't be 'strong'" in text_of(app)
        app.screen.query_one(Input).value = "0.7"
        await press(pilot, "enter")
        assert value(app, "strength") == "0.7"
        await to_row(app, pilot, "description")
        await press(pilot, "enter")
        assert isinstance(app.screen, PublishTextScreen)
        assert "• Trigger words: hrbr style" in text_of(app)
        app.screen.query_one(TextArea).text = "# Boats\n\n1. one **bold**"
        await pilot.pause(0.2)
        assert "1. one bold" in text_of(app)
        await press(pilot, "ctrl+s")
        assert value(app, "description") == "# Boats 1. one **bold**"


async def test_pictures_are_chosen_ordered_and_levelled(
    open_app: OpenApp, home: Path, site: Bench, version_id: str
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        await to_row(app, pilot, "pictures")
        await press(pilot, "enter")
        assert isinstance(app.screen, PublishPicturesScreen)
        assert "prompt: hrbr style, a boat" in text_of(app)
        await press(pilot, "space", "g", "J", "P", "enter")
        await press(pilot, "escape")
        draft = form(app).draft
        assert draft is not None
        assert [one.name for one in draft.form.parts[0].pictures] == ["green.png", "blue.png"]
        assert [one.nsfw_level for one in draft.form.parts[0].pictures] == [0, 1]
        with Registry(home) as registry:
            assert [one.nsfw_level for one in library.version(registry, version_id).previews] == [0, 1, 0]
        assert value(app, "pictures") == "2 of 3"


async def test_a_warning_is_accepted_and_a_header_stripped_with_a_key(
    open_app: OpenApp, home: Path, site: Bench, tmp_path: Path, started: list[Job]
) -> None:
    with Registry(home) as registry:
        told_all = {"ss_sd_model_name": "/home/someone/sd.safetensors"}
        path = write_lora(tmp_path / "ink.safetensors", metadata=told_all)
        version = index_file(registry, path)
        model = library.version(registry, version).model_id
        said = {"name": "Ink", "tags": "style", "trigger_words": "ink", "base_model": "SD 1.5", "description": "Ink."}
        edits.edit(registry, model, version, said)
        previews.add_preview(registry, version, write_png(tmp_path / "a.png"), generation=GENERATION)
    app = open_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "p", "n", "n", "n")
        findings = form(app).query_one(FindingList)
        findings.focus()
        codes = [findings.item(at).code for at in range(findings.row_count)]  # type: ignore[union-attr]
        findings.cursor = codes.index("header-private")
        await settle(pilot)
        assert "send a copy whose header does not tell it" in text_of(app)
        await press(pilot, "f")
        assert value(app, "strip") == "yes"
        assert "header-private" not in [one.code for one in form(app).draft.told]  # type: ignore[union-attr]
        await press(pilot, "g", "a")
        assert form(app).query_one(FindingList).current.accepted is False  # type: ignore[union-attr]
        await press(pilot, "A", "p", "y")
        assert run_job(app, started[0]).state == "done"
    file = site.sandbox.models_named("Ink")[0]["versions"][0]["files"][0]
    assert b"/home/someone" not in site.sandbox.world.blob_path(file["key"]).read_bytes()
    assert b"/home/someone" in path.read_bytes()


async def test_a_site_that_can_t_be_asked_is_told_in_the_form(
    open_app: OpenApp, version_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_API_KEY", "")
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "p", "b")
        assert "no sandbox is running" in text_of(app)
        await press(pilot, "p")
        assert "it is not checked yet" in notes_of(app)[-1]


async def test_privacy_mode_covers_the_form_and_closes_what_is_asked(
    open_app: OpenApp, site: Bench, version_id: str
) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        await to_row(app, pilot, "description")
        await press(pilot, "enter", "f8")
        assert isinstance(app.screen, PublishScreen)
        assert "Harbor" not in text_of(app)
        assert "hrbr" not in text_of(app)
        await press(pilot, "n")
        assert "privacy mode" in notes_of(app)[-1]
        await press(pilot, "X")
        assert "Harbor" in text_of(app)


# a publication as it goes -----------------------------------------------------------------------------------------------


async def test_what_the_command_line_began_goes_on_here(
    open_app: OpenApp, home: Path, site: Bench, version_id: str, started: list[Job]
) -> None:
    site.sandbox.settings.faults = [Fault("post.create", status=400)]
    with Registry(home) as registry, site.client() as client, pytest.raises(HubError):
        publish_now(registry, client, version_id)
    site.sandbox.settings.faults = []
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        await press(pilot, "n")
        assert "It was begun" in text_of(app)
        await press(pilot, "p", "y")
        await told(app, pilot)
        assert "✔ the file" in text_of(app)
        assert "· the post" in text_of(app)
        assert run_job(app, started[0]).state == "done"
        assert the_page(site)["status"] == "Published"


async def test_a_publication_is_cancelled_refused_gone_on_with_and_corrected(
    open_app: OpenApp, site: Bench, version_id: str, started: list[Job]
) -> None:
    body = '{"error":{"json":{"message":"Blocked tag: ink","code":-32600,"data":{"code":"BAD_REQUEST"}}}}'
    site.sandbox.settings.faults = [Fault("model.upsert", status=400, body=body)]
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "p", "n", "n", "n", "p", "y", "x")
        await told(app, pilot)
        assert "cancelled" in text_of(app)
        assert "goes on from here" in text_of(app)
        await press(pilot, "r")
        run_job(app, started[1])
        await told(app, pilot)
        assert "Blocked tag: ink" in text_of(app)
        await press(pilot, "e")
        assert value(app, "tags") == "ink"
        await press(pilot, "p", "y")
        assert run_job(app, started[2]).state == "done"
        assert the_page(site)["status"] == "Published"


async def test_the_hub_is_the_second_destination(
    open_app: OpenApp, version_id: str, started: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_server() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        app = open_app()
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            await press(pilot, "p", "b", "b")
            assert "on the Hugging Face Hub" in text_of(app)
            await press(pilot, "n", "n", "n")
            await to_row(app, pilot, "repo")
            await press(pilot, "enter")
            await write(pilot, "ink")
            await press(pilot, "enter", "p", "y")
            assert run_job(app, started[0]).state == "done"
            await told(app, pilot)
            assert "✔ the model card, in one commit" in text_of(app)
            assert f"{hub.url}/mara/ink" in text_of(app)
        assert "harbor.safetensors" in hub.repos["mara/ink"].files


# small parts ------------------------------------------------------------------------------------------------------------


def test_bytes_have_a_rate_and_a_time_left() -> None:
    def sent(done: float) -> Progress:
        return Progress(stage="upload", done=done, total=100, unit="B", message="a")

    seen = publish_steps.transferred(Transfer(), sent(10), 5.0)
    assert (seen.rate, seen.left) == (0, 0)
    seen = publish_steps.transferred(seen, sent(30), 7.0)
    assert (seen.done, seen.rate, seen.left) == (30, 10.0, 7.0)
    assert publish_steps.transferred(seen, Progress(stage="publish"), 8.0) == seen


def test_html_looks_as_it_does_on_the_page() -> None:
    html = "<p>a <strong>b</strong><br>c</p><ul><li>x<ol><li>y</li></ol></li></ul><pre><code>z</code></pre>"
    assert content(html).plain == "a b\nc\n\n• x\n  1. y\n\nz"


def the_page(site: Bench) -> dict[str, object]:
    """The one version that there is, with its three pictures."""
    models = site.sandbox.models_named(NAME)
    assert [(model["status"], len(model["versions"])) for model in models] == [("Published", 1)]
    version: dict[str, object] = models[0]["versions"][0]
    assert len(models[0]["versions"][0]["posts"][0]["images"]) == 3
    return version
