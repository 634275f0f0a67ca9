"""A page that another machine published: known by its ids, taken over, changed and hidden from here, and never made twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.civitai import after, checks_site, journal
from hubman.civitai.client import Civitai
from hubman.civitai.finding import HARMLESS, PreflightError
from hubman.civitai.publish import publish
from registry import edits, library
from registry.database import Registry
from registry.errors import HubError
from tests.support.civitai import Bench, bench
from tests.support.publishing import (
    NAME,
    form_of,
    held_bytes,
    make_version,
    on_another_machine,
    publish_now,
    the_only_one,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as running:
        yield running


def test_what_another_machine_published_can_be_hidden_and_gets_no_second_page(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id)
    on_another_machine(registry)
    path = Path(library.version(registry, version_id).files[0].places[0].path)
    path.rename(tmp_path / "elsewhere")
    with site.client("other") as other, pytest.raises(HubError, match="is not yours"):
        after.unpublish(registry, other, [version_id])
    hidden = after.unpublish(registry, client, [version_id])
    assert (hidden.model_id, hidden.version_ids, hidden.is_whole) == (done.model_id, (done.version_id,), True)
    assert site.sandbox.models_named(NAME)[0]["status"] == "Unpublished"
    assert library.version(registry, version_id).published_url is None
    assert not journal.begun(registry, version_id, client.site)
    (tmp_path / "elsewhere").rename(path)
    with pytest.raises(PreflightError, match="has a page of yours"):
        publish_now(registry, client, version_id)
    assert publish_now(registry, client, version_id, edit=True).status == "unpublished"
    assert publish_now(registry, client, version_id).version_id == done.version_id
    the_only_one(site)


def test_a_page_from_another_machine_is_known_again(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id)
    on_another_machine(registry)
    edits.edit(registry, library.version(registry, version_id).model_id, version_id, {"description": "From afar."})
    before = site.asked("post.addImage"), site.asked("/api/upload")
    again = publish_now(registry, client, version_id, edit=True)
    assert (again.model_id, again.version_id, again.post_id) == (done.model_id, done.version_id, done.post_id)
    assert (site.asked("post.addImage"), site.asked("/api/upload")) == before
    the_only_one(site)
    assert site.sandbox.models_named(NAME)[0]["description"].startswith("<p>From afar.</p>")


def test_a_page_from_another_machine_is_not_taken_over_before_the_checks_passed(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id)
    on_another_machine(registry)
    told = publish_now(registry, client, version_id, edit=True, dry_run=True, strength="0.6")
    # The description tells the strength.
    assert [(request.path, request.body["json"]["id"]) for request in told.requests] == [
        ("/api/trpc/model.upsert", done.model_id), ("/api/trpc/modelVersion.upsert", done.version_id),
    ]  # fmt: skip
    with pytest.raises(PreflightError):
        publish_now(registry, client, version_id, edit=True, strength_min="0.9", strength="0.6")
    assert registry.db.execute("SELECT count(*) FROM publications").fetchone()[0] == 0
    assert publish_now(registry, client, version_id, edit=True, strength="0.6").version_id == done.version_id
    assert checks_site.posts_made(registry, client.site) == 0


def test_the_bytes_of_a_page_from_another_machine_are_not_replaced_by_an_edit(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path, metadata={"note": "/home/someone/private"})
    publish(registry, client, form_of(registry, version_id), accept=[HARMLESS, "header-private"])
    before = held_bytes(site, the_only_one(site))
    on_another_machine(registry)
    with pytest.raises(HubError, match="is public with other bytes"):
        publish_now(registry, client, version_id, edit=True, strip="yes")
    assert held_bytes(site, the_only_one(site)) == before
