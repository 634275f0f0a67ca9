"""What is done with a page afterwards: changed, hidden, mended, counted; and a rehearsal of it all that sends nothing."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubman.civitai import after, errors, handoff, journal, stats
from hubman.civitai.client import Civitai
from hubman.civitai.finding import PreflightError
from hubman.cli import main
from hubman.progress import Progress
from hubman.sandbox import Fault, encoding, validation
from registry import civitai_stats, library, previews
from registry.database import Registry
from registry.errors import HubError
from registry.scan import index_file
from tests.support.civitai import Bench, bench, write_lora, write_png
from tests.support.publishing import (
    GENERATION,
    NAME,
    add_version,
    held,
    held_bytes,
    local_bytes,
    make_version,
    on_another_machine,
    publish_now,
    the_only_one,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, chunk_size=2000) as running:
        yield running


class _Terminal(io.StringIO):
    """Where a person types."""

    def isatty(self) -> bool:
        return True


def _shown(site: Bench) -> list[str]:
    """The names of the pictures on the page, in their order."""
    version = site.sandbox.models_named(NAME)[0]["versions"][0]
    return [image["name"] for post in version["posts"] for image in post["images"]]


def test_pictures_are_put_into_another_order_and_what_was_taken_out_is_told_of(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    red, blue = (one.sha256 for one in library.version(registry, version_id).previews)
    assert _shown(site) == ["red.png", "blue.png"]
    assert publish_now(registry, client, version_id, edit=True, pictures=f"{blue}, {red}").notes == ()
    assert _shown(site) == ["blue.png", "red.png"]
    previews.add_preview(registry, version_id, write_png(tmp_path / "green.png", "green"), generation=GENERATION)
    green = library.version(registry, version_id).previews[-1].sha256
    done = publish_now(registry, client, version_id, edit=True, pictures=f"{green}, {blue}")
    assert _shown(site) == ["green.png", "blue.png", "red.png"]
    (note,) = done.notes
    assert "a picture that you took out is still shown" in note
    assert note.endswith(f"/posts/{done.post_id}/edit")


def test_an_edit_makes_nothing_public(site: Bench, client: Civitai, registry: Registry, tmp_path: Path) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id, draft=True)
    assert publish_now(registry, client, version_id, edit=True, name="Renamed").status == "draft"
    the_only_one(site, status="Draft", name="Renamed")


@pytest.mark.parametrize("way", [{"draft": True}, {"draft": True, "dry_run": True}])
def test_what_is_public_can_not_be_changed_as_a_draft(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, way: dict[str, bool]
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    with pytest.raises(HubError, match=r"published already.*--edit"):
        publish_now(registry, client, version_id, description="Not yet.", **way)
    assert "Not yet." not in site.sandbox.models_named(NAME)[0]["description"]


def test_a_draft_leaves_the_words_of_a_public_page_alone(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    first = make_version(registry, tmp_path)
    second = add_version(registry, tmp_path, first)
    publish_now(registry, client, first, second)
    after.unpublish(registry, client, [first])
    done = publish_now(registry, client, first, draft=True, description="Not yet.")
    assert "Not yet." not in site.sandbox.models_named(NAME)[0]["description"]
    assert any("--edit changes them" in note for note in done.notes)


def test_hidden_is_hidden_and_published_again_is_the_same_page(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id)
    assert after.unpublish(registry, client, [version_id]).is_whole
    with pytest.raises(errors.MissingError):
        client.model(done.model_id)
    assert library.version(registry, version_id).published_url is None
    again = publish_now(registry, client, version_id)
    assert (again.status, again.model_id, again.version_id) == ("published", done.model_id, done.version_id)
    the_only_one(site)


def test_what_went_live_before_the_program_was_killed_can_be_hidden(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    def dies(event: Progress) -> None:
        if event.message == "publish model: done":
            raise KeyboardInterrupt

    version_id = make_version(registry, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        publish_now(registry, client, version_id, report=dies)
    the_only_one(site)
    assert after.unpublish(registry, client, [version_id]).is_whole
    assert site.sandbox.models_named(NAME)[0]["status"] == "Unpublished"
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


def test_of_several_versions_one_can_be_hidden(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    first = make_version(registry, tmp_path)
    second = add_version(registry, tmp_path, first)
    publish_now(registry, client, first, second)
    assert not after.unpublish(registry, client, [first]).is_whole
    (there,) = site.sandbox.models_named(NAME)
    assert {v["name"]: v["status"] for v in there["versions"]} == {"v2.0": "Published", "v1.0": "Unpublished"}
    assert there["status"] == "Published"


def test_what_was_never_published_can_not_be_hidden(client: Civitai, registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"Harbor Style v1\.0 was not published"):
        after.unpublish(registry, client, [make_version(registry, tmp_path)])


def test_a_broken_file_is_sent_again_in_its_place(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    before = the_only_one(site)["files"][0]
    for _ in range(2):
        site.sandbox.world.blob_path(the_only_one(site)["files"][0]["key"]).write_bytes(b"broken")
        store = site.sandbox.world.store
        store.put("file", {**held(site, "file", before["id"]), "virusScanResult": "Error"})
        assert publish_now(registry, client, version_id, edit=True, replace=True).differences == ()
        found = the_only_one(site)
        assert held_bytes(site, found) == local_bytes(registry, version_id)
        assert (found["files"][0]["id"], found["files"][0]["virusScanResult"]) == (before["id"], "Success")
    uploads = site.asked("/api/upload/complete")
    publish_now(registry, client, version_id, edit=True, replace=True)
    assert site.asked("/api/upload/complete") == uploads


def test_a_file_that_was_made_again_takes_the_place_of_the_public_one(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id)
    path = Path(library.version(registry, version_id).files[0].places[0].path)
    mended = index_file(registry, write_lora(path, seed=77))
    previews.add_preview(registry, mended, write_png(tmp_path / "x.png", "red"), generation=GENERATION)
    told: dict[str, Any] = {"edit": True, "replace": True, "version_name": "v1.0"}
    dry = publish_now(registry, client, mended, dry_run=True, **told)
    assert [one.path for one in dry.requests if "modelFile" in one.path]
    assert not [one.path for one in dry.requests if one.path.endswith("model.upsert")]
    again = publish_now(registry, client, mended, **told)
    assert (again.model_id, again.version_id) == (done.model_id, done.version_id)
    (there,) = site.sandbox.models_named(NAME)
    assert held_bytes(site, there["versions"][0]) == path.read_bytes()
    assert len(there["versions"][0]["files"]) == 1


def test_what_was_published_under_one_name_of_the_site_is_known_under_the_others(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    client.site = "https://civitai.com"
    done = publish_now(registry, client, version_id)
    client.site = "https://www.civitai.red"
    again = publish_now(registry, client, version_id)
    assert (again.status, again.model_id, again.version_id) == ("published", done.model_id, done.version_id)
    the_only_one(site)
    assert after.unpublish(registry, client, [version_id]).model_id == done.model_id
    client.site = "https://elsewhere.example"
    with pytest.raises(HubError, match="was not published on"):
        after.unpublish(registry, client, [version_id])


def test_a_replaced_file_hands_nothing_over_before_the_checks_passed(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    path = Path(library.version(registry, version_id).files[0].places[0].path)
    mended = index_file(registry, write_lora(path, seed=77))
    previews.add_preview(registry, mended, write_png(tmp_path / "x.png", "red"), generation=GENERATION)
    with pytest.raises(PreflightError):
        publish_now(registry, client, mended, edit=True, replace=True, version_name="")
    assert journal.begun(registry, version_id, client.site)
    assert not journal.begun(registry, mended, client.site)


def test_a_dry_run_tells_every_request_and_sends_none(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    first = make_version(registry, tmp_path)
    second = add_version(registry, tmp_path, first)
    told = publish_now(registry, client, first, second, dry_run=True).requests
    changing = [
        path for method, path, _ in site.sandbox.requests if method in {"POST", "PUT"} and "by-hash" not in path
    ]
    assert changing == []
    assert registry.db.execute("SELECT count(*) FROM publication_steps").fetchone()[0] == 0
    for request in told:
        assert site.sandbox.token() not in request.text()
        if name := request.path.partition("/api/trpc/")[2]:
            body = encoding.read_superjson(request.body)
            validation.check(name, body)
            assert validation.unknown_keys(name, body) == []
    made = [request.body["json"] for request in told if request.path.endswith("modelVersion.upsert")]
    assert [fields["usageControl"] for fields in made] == ["Download", "Download"]
    assert next(r.body["json"] for r in told if r.path.endswith("model.upsert"))["allowCommercialUse"]
    publish_now(registry, client, first, second)
    sent = [path for method, path, _ in site.sandbox.requests if method == "POST" and "by-hash" not in path]
    assert [request.path for request in told if request.method == "POST"] == sent


def test_a_dry_run_of_an_edit_tells_only_what_would_change(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id)
    (request,) = publish_now(registry, client, version_id, edit=True, dry_run=True, commercial_use="Image").requests
    sent: dict[str, Any] = request.body["json"]
    assert (request.path, sent["id"], sent["allowCommercialUse"]) == (
        "/api/trpc/model.upsert",
        done.model_id,
        ["Image"],
    )
    assert "description" not in sent


def test_downloads_and_ratings_come_back_into_the_library(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id)
    store = site.sandbox.world.store
    counts = {"downloadCount": 512, "thumbsUpCount": 40, "thumbsDownCount": 2, "commentCount": 7}
    store.put("model", {**held(site, "model", done.model_id), "stats": counts})
    (found,) = stats.pull(registry, client)
    assert (found.model_downloads, found.liked, found.disliked, found.comments) == (512, 40, 2, 7)
    assert civitai_stats.of_model(registry, library.version(registry, version_id).model_id) == (found,)


def test_one_command_and_one_answer_make_a_page(
    site: Bench, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_version(registry, tmp_path)
    monkeypatch.setenv("HUBMAN_HOME", str(registry.home))
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", site.sandbox.url)
    monkeypatch.setenv("CIVITAI_API_KEY", site.sandbox.token())
    # A second question would find no answer.
    with monkeypatch.context() as terminal:
        terminal.setattr("sys.stdin", _Terminal("y\n"))
        terminal.setattr(sys.stdout, "isatty", lambda: True)
        assert main.run(["publish", NAME, "--set", "poi=no", "--set", "minor=no", "--no-nsfw"]) == 0
    the_only_one(site)
    told = capsys.readouterr().out
    assert told.count(" [y/N]") == 1
    assert "published: http" in told
    # What was answered once is known: a change of the page asks for nothing more.
    assert main.run(["publish", NAME, "--edit", "--json", "--name", "Harbour", "--accept", "harmless"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "published"
    assert main.run(["stats", NAME]) == 0
    assert capsys.readouterr().out.startswith(f"{NAME}\tv1.0")
    assert main.run(["show", NAME]) == 0
    assert "on Civitai v1.0: 0 downloads, 0 liked, 0 disliked, 0 comments" in capsys.readouterr().out
    on_another_machine(registry)
    with monkeypatch.context() as terminal:
        terminal.setattr("sys.stdin", _Terminal("y\n"))
        terminal.setattr(sys.stdout, "isatty", lambda: True)
        answers = ["--set", "poi=no", "--set", "minor=no", "--no-nsfw"]
        assert main.run(["publish", NAME, "--edit", *answers, "--strength", "0.6"]) == 0
    the_only_one(site, name="Harbor Style")
    assert main.run(["publish", NAME, "--unpublish", "--yes"]) == 0
    assert "unpublished: " in capsys.readouterr().out
    assert main.run(["publish", NAME, "--unpublish", "--draft"]) == 2


@pytest.mark.parametrize(
    ("done", "version", "joined", "page"),
    [
        ((), 0, False, "/models/7/wizard?step=2"),
        (("version",), 8, False, "/models/7/wizard?step=3"),
        (("version", "file"), 8, False, "/models/7/wizard?step=4"),
        (("version",), 8, True, "/models/7/model-versions/8/wizard?step=2"),
        (("version", "file"), 8, True, "/models/7/model-versions/8/wizard?step=3"),
    ],
)
def test_the_browser_goes_on_at_the_step_that_comes_next(
    done: tuple[str, ...], version: int, joined: bool, page: str
) -> None:
    assert handoff.wizard("", 7, done, version_id=version, joined=joined) == page
    assert handoff.wizard("", 0, ()) == "/models/create"


def test_a_refusal_names_the_page_where_a_browser_goes_on(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    first = make_version(registry, tmp_path)
    site.sandbox.settings.faults = [Fault("model.upsert", status=404, body='{"error":"No procedure found"}')]
    with pytest.raises(errors.CivitaiError) as caught:
        publish_now(registry, client, first)
    assert caught.value.hint.endswith(f"it can be made in a browser too: {site.sandbox.url}/models/create")
    done = publish_now(registry, client, first)
    second = add_version(registry, tmp_path, first)
    site.sandbox.settings.faults = [Fault("post.create", status=400, body='{"error":"No"}')]
    with pytest.raises(errors.RejectedError) as refused:
        publish_now(registry, client, second)
    assert f"/models/{done.model_id}/model-versions/" in refused.value.hint
    assert refused.value.hint.endswith("/wizard?step=3")
    site.sandbox.settings.faults = []
    assert publish_now(registry, client, second).status == "published"
