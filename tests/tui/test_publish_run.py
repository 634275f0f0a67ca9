"""From a key to a page on a sandbox or a Hub on loopback; jobs run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hubman.civitai import after
from hubman.jobs.records import Job
from hubman.progress import Progress
from hubman.sandbox import Fault
from registry import collecting, edits, library, previews
from registry.database import Registry
from registry.errors import HubError
from registry.scan import index_file
from tests.support.civitai import Bench, write_lora, write_png
from tests.support.hub_server import TOKEN, hub_server
from tests.support.jobs import fake_job
from tests.support.publish_screens import form, run_job, the_page, to_row, told, value
from tests.support.publishing import GENERATION, NAME, add_version, publish_now
from tests.support.screens import notes_of, press, settle, text_of, write
from tui import publish_steps
from tui.app import HubmanApp
from tui.html_content import content
from tui.publish_steps import Transfer
from tui.publishing import Target
from tui.screens.publish import PublishScreen
from tui.screens.publish_run import PublishRunScreen
from tui.widgets.dialogs import Confirm
from tui.widgets.facets import FacetList
from tui.widgets.publish_lists import FormList

OpenApp = Callable[[], HubmanApp]
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


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


async def test_what_the_command_line_began_goes_on_here(
    open_app: OpenApp, home: Path, site: Bench, version_id: str, started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "p", "n", "n", "n")
        assert "It was begun" not in text_of(app)
        site.sandbox.settings.faults = [Fault("post.create", status=400)]
        with Registry(home) as registry, site.client() as client, pytest.raises(HubError):
            publish_now(registry, client, version_id)
        site.sandbox.settings.faults = []
        await told(app, pilot)
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


def test_a_version_that_is_not_out_is_published_beside_one_that_is(
    site: Bench, home: Path, version_id: str, tmp_path: Path
) -> None:
    with site.client() as client, Registry(home) as registry:
        publish_now(registry, client, version_id)
        assert publish_steps.begun(registry, [version_id], Target("civitai")).is_out
        both = [version_id, add_version(registry, tmp_path, version_id)]
        known = publish_steps.begun(registry, both, Target("civitai"))
        assert (known.is_out, known.is_cut_off) == (False, False)
        publish_now(registry, client, *both, edit=known.is_out)
        assert [version["status"] for version in site.sandbox.models_named(NAME)[0]["versions"]] == ["Published"] * 2
        assert publish_steps.begun(registry, both, Target("civitai")).is_out
        after.unpublish(registry, client, both[1:])
        assert not publish_steps.begun(registry, both, Target("civitai")).is_out


async def test_the_hub_is_the_second_destination(
    open_app: OpenApp, version_id: str, started: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_server() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        app = open_app()
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            await press(pilot, "p", "b")
            assert "no sandbox is running" in text_of(app)
            await press(pilot, "b")
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
