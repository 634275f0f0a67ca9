"""What the site seems to have lost is begun anew only where it is really gone: else there would be a second one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hubman.civitai import errors, journal
from hubman.civitai.client import Civitai
from hubman.sandbox import Fault
from registry import library, previews
from registry.database import Registry
from tests.support.civitai import Bench, bench, write_png
from tests.support.publishing import (
    GENERATION,
    MISSING,
    NAME,
    Altered,
    age_steps,
    every,
    make_version,
    on_another_machine,
    publish_now,
    the_only_one,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, posts_per_day=10_000) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("model.getById", MISSING),
        ("model.getById", "<html><body>404</body></html>"),
        ("model.getById", "default backend - 404"),
        ("model.getById", '{"error":{"json":{"message":"No procedure found on path \\"model.getById\\""}}}'),
        ("post.getEdit", MISSING),
    ],
)
def test_one_answer_that_says_gone_makes_no_second_page(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, path: str, body: str
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id, draft=True)
    age_steps(registry)
    # What looks before it sends may take it once; what would begin anew meets it again.
    site.sandbox.settings.faults = [Fault(path, method="GET", status=404, body=body, times=2)]
    with pytest.raises(errors.CivitaiError):
        publish_now(registry, client, version_id, draft=True)
    site.sandbox.settings.faults = []
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


@pytest.mark.parametrize(
    ("procedure", "change"),
    [
        ("model.getById", {"modelVersions": "absent"}),
        ("model.getById", {"modelVersions": []}),
        ("model.getById", {"id": 1}),
        ("modelVersion.getByIdForEdit", {"files": None}),
        ("modelVersion.getByIdForEdit", {"files": [7]}),
        ("post.getEdit", {"images": "absent"}),
    ],
)
def test_a_list_that_is_not_in_the_answer_is_not_an_empty_one(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, procedure: str, change: dict[str, Any]
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    before = the_only_one(site)
    age_steps(registry)
    with Altered(site, procedure, change) as other, pytest.raises(errors.CivitaiError):
        publish_now(registry, other, version_id)
    assert the_only_one(site) == before


def test_pictures_that_the_site_does_not_show_are_neither_doubled_nor_a_reason_to_hide_the_page(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    before = the_only_one(site)
    age_steps(registry)
    with Altered(site, "post.getEdit", {"images": []}) as other:
        done = publish_now(registry, other, version_id)
    assert (done.status, [one.field for one in done.differences]) == ("published", ["v1.0: pictures"])
    assert the_only_one(site) == before


def test_a_picture_whose_bytes_are_gone_too_is_sent_again(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id, draft=True)
    store = site.sandbox.world.store
    image = store.every("image")[0]
    store.delete("image", image["id"])
    site.sandbox.world.blob_path(image["url"]).unlink()
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


def test_a_page_is_known_again_as_a_whole_or_not_at_all(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    before = the_only_one(site)
    on_another_machine(registry)
    site.sandbox.settings.faults = [Fault("post.getEdit", method="GET", status=404, body=MISSING)]
    with pytest.raises(errors.MissingError):
        publish_now(registry, client, version_id, edit=True)
    assert not journal.begun(registry, version_id, client.site)
    publish_now(registry, client, version_id, edit=True)
    assert the_only_one(site) == before


def test_a_page_is_known_again_without_one_of_its_pictures_and_with_another_program_s_hashes(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    store = site.sandbox.world.store
    for image in store.every("image"):
        store.put("image", {**image, "hash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj"})
    asked = site.asked("post.addImage")
    on_another_machine(registry)
    previews.blob_path(registry, library.version(registry, version_id).previews[0].sha256).unlink()
    publish_now(registry, client, version_id, edit=True)
    the_only_one(site)
    assert site.asked("post.addImage") == asked


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_picture_that_is_not_on_this_machine_keeps_its_place(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, elsewhere: bool
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    red, blue = (one.sha256 for one in library.version(registry, version_id).previews)
    previews.blob_path(registry, red).unlink()
    if elsewhere:
        on_another_machine(registry)
    done = publish_now(registry, client, version_id, edit=True)
    assert (done.notes, done.differences) == ((), ())
    assert [image["name"] for image in the_only_one(site)["posts"][0]["images"]] == ["red.png", "blue.png"]
    assert site.asked("post.reorderImages") == 0
    previews.add_preview(registry, version_id, write_png(tmp_path / "green.png", "green"), generation=GENERATION)
    green = library.version(registry, version_id).previews[-1].sha256
    publish_now(registry, client, version_id, edit=True, pictures=f"{green}, {red}, {blue}")
    shown = site.sandbox.models_named(NAME)[0]["versions"][0]["posts"][0]["images"]
    assert [image["name"] for image in shown] == ["red.png", "green.png", "blue.png"]


def _lose_the_post(site: Bench) -> None:
    for kind in ("post", "image"):
        for one in every(site, kind):
            site.sandbox.world.store.delete(kind, one["id"])


def test_no_post_is_public_before_the_model_is_taken(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    site.sandbox.settings.faults = [Fault("model.publish", method="POST", status=400)]
    with pytest.raises(errors.RejectedError):
        publish_now(registry, client, version_id)
    assert [post["publishedAt"] for post in every(site, "post")] == [None]
    assert publish_now(registry, client, version_id).status == "published"
    assert every(site, "post")[0]["publishedAt"]


@pytest.mark.parametrize("date", ["", "2031-05-01T12:00:00Z"])
@pytest.mark.parametrize(
    "lost", [Fault("post.update", after=True, drop=True), Fault("post.update", after=True, drop=True, times=9)]
)
def test_the_lost_answer_of_publishing_a_post_that_was_made_anew_is_no_refusal(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, date: str, lost: Fault
) -> None:
    version_id = make_version(registry, tmp_path)
    first = publish_now(registry, client, version_id, published_at=date)
    _lose_the_post(site)
    age_steps(registry)
    site.sandbox.settings.faults = [replace(lost)]
    if lost.times > 1:
        # No answer comes through at all: the next run finds the post public.
        with pytest.raises(errors.CivitaiError):
            publish_now(registry, client, version_id, published_at=date)
        site.sandbox.settings.faults = []
    again = publish_now(registry, client, version_id, published_at=date)
    (post,) = every(site, "post")
    assert (again.status, again.version_id, again.post_id) == (first.status, first.version_id, post["id"])
    assert post["publishedAt"]
    assert not date or post["publishedAt"].startswith(date[:10])
    assert again.differences == ()


@pytest.mark.parametrize("date", ["", "2031-05-01T12:00:00Z"])
def test_a_deleted_post_of_a_page_that_is_out_is_made_again_and_published(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, date: str
) -> None:
    # This machine's clock is fast: by it, the site would put the post off.
    site.clock.now = datetime.now(UTC) - timedelta(hours=3)
    version_id = make_version(registry, tmp_path)
    first = publish_now(registry, client, version_id, published_at=date)
    _lose_the_post(site)
    age_steps(registry)
    again = publish_now(registry, client, version_id, published_at=date)
    (post,) = every(site, "post")
    assert (again.status, again.version_id, again.post_id != first.post_id) == (first.status, first.version_id, True)
    assert post["publishedAt"]
    assert not date or post["publishedAt"].startswith(date[:10])
    assert date or datetime.fromisoformat(post["publishedAt"]) <= site.clock.now
