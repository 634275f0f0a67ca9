"""A publication goes on from any instant, with what a person changed meanwhile, and makes nothing a second time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hubman.civitai import errors
from hubman.civitai.client import Civitai
from hubman.civitai.finding import HARMLESS
from hubman.civitai.publish import publish
from hubman.progress import Progress
from hubman.sandbox import Fault
from hubman.sandbox.faults.rules import Rule
from registry import edits, library, previews, timestamps
from registry.database import Registry
from registry.errors import CancelledError
from tests.support.civitai import Bench, bench, write_png
from tests.support.publishing import (
    GENERATION,
    NAME,
    Killed,
    add_version,
    age_steps,
    dies_at,
    form_of,
    held,
    held_bytes,
    local_bytes,
    make_version,
    publish_now,
    the_only_one,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, chunk_size=2000, posts_per_day=10_000) as running:
        yield running


def _instants(event: Progress) -> bool:
    return event.stage == "publish" and event.data["state"] != "done"


def test_killed_before_and_after_every_call_it_ends_whole(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    heard: list[Progress] = []
    publish_now(registry, client, make_version(registry, tmp_path), report=heard.append)
    instants = [event for event in heard if _instants(event)]
    assert len(instants) > 20
    for number in range(len(instants)):
        left = [number]

        def die(event: Progress, left: list[int] = left) -> None:
            if _instants(event):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed

        name = f"Killed at {number}"
        version_id = make_version(registry, tmp_path, name=name, seed=number + 1)
        with pytest.raises(Killed):
            publish_now(registry, client, version_id, report=die)
        assert publish_now(registry, client, version_id).status == "published", instants[number]
        assert held_bytes(site, the_only_one(site, name=name)) == local_bytes(registry, version_id)
    assert site.sandbox.sweep() == []


def test_cancelling_stops_within_a_part_and_the_same_call_goes_on(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    with pytest.raises(CancelledError):
        publish_now(registry, client, version_id, should_stop=lambda: site.asked("/sandbox-models/") > 0)
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


def test_what_was_edited_between_two_runs_is_changed_where_it_is(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id, draft=True)
    model = library.version(registry, version_id).model_id
    edits.edit(
        registry, model, version_id, {"description": "Only lighthouses.", "strength": "0.9", "trigger_words": "lgths"}
    )
    previews.add_preview(registry, version_id, write_png(tmp_path / "green.png", "green"), generation=GENERATION)
    done = publish_now(registry, client, version_id)
    (there,) = site.sandbox.models_named(NAME)
    (version,) = there["versions"]
    assert there["description"].startswith("<p>Only lighthouses.</p>")
    assert (version["settings"]["strength"], version["trainedWords"]) == (0.9, ["lgths"])
    assert [len(post["images"]) for post in version["posts"]] == [3]
    assert done.differences == ()
    assert not site.sandbox.unknown_keys


def test_only_what_was_changed_here_is_sent_to_a_page_that_was_changed_there(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id)
    store = site.sandbox.world.store
    store.put("model", {**held(site, "model", done.model_id), "name": "Harbour", "sfwOnly": True, "minor": True})
    terms = {"terms": {"download": {"price": 500}}, "timeframeDays": 3}
    store.put("version", {**held(site, "version", done.version_id), "paidAccess": terms, "name": "first"})
    edits.edit(
        registry, library.version(registry, version_id).model_id, version_id, {"description": "New.", "strength": "0.6"}
    )
    assert publish_now(registry, client, version_id, edit=True).status == "published"
    there, version = held(site, "model", done.model_id), held(site, "version", done.version_id)
    assert (there["name"], there["sfwOnly"], there["minor"], there["status"]) == ("Harbour", True, True, "Published")
    assert there["description"].startswith("<p>New.</p>")
    # What the site clears when an update leaves it out is sent back; a status would have pulled the version down.
    assert (version["name"], version["paidAccess"], version["status"]) == ("first", terms, "Published")
    assert version["settings"]["strength"] == 0.6


def test_a_page_that_an_older_hubman_published_is_changed_too(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    # It wrote down the ids only.
    registry.db.execute("UPDATE publication_steps SET inputs = '', answer = json_remove(answer, '$.sent')")
    before = site.asked("/api/upload"), site.asked("post.addImage"), site.asked("modelVersion.upsert")
    edits.edit(registry, library.version(registry, version_id).model_id, version_id, {"description": "New."})
    assert publish_now(registry, client, version_id, edit=True).differences == ()
    assert site.sandbox.models_named(NAME)[0]["description"].startswith("<p>New.</p>")
    assert (site.asked("/api/upload"), site.asked("post.addImage"), site.asked("modelVersion.upsert")) == before


def test_several_versions_go_out_as_one_model_in_one_release(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    first = make_version(registry, tmp_path)
    second = add_version(registry, tmp_path, first)
    done = publish_now(registry, client, first, second)
    (there,) = site.sandbox.models_named(NAME)
    assert [(v["name"], v["status"], len(v["files"]), len(v["posts"])) for v in there["versions"]] == [
        ("v2.0", "Published", 1, 1), ("v1.0", "Published", 1, 1),
    ]  # fmt: skip
    assert done.version_ids == tuple(v["id"] for v in reversed(there["versions"]))
    # Without versionIds only the model would flip.
    assert site.asked("model.publish") == 1
    assert site.asked("modelVersion.publish") == 0


def test_a_version_joins_the_draft_that_another_one_left(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    first = make_version(registry, tmp_path)
    second = add_version(registry, tmp_path, first)
    draft = publish_now(registry, client, first, draft=True)
    assert draft.notes == ("Civitai deletes drafts that nobody touches for 30 days",)
    joined = publish_now(registry, client, second, description="Of the second only.")
    assert joined.model_id == draft.model_id
    assert joined.notes == ("the page's own words and permissions stay as they were: --edit changes them",)
    (there,) = site.sandbox.models_named(NAME)
    assert {v["name"]: v["status"] for v in there["versions"]} == {"v2.0": "Published", "v1.0": "Draft"}
    publish_now(registry, client, first)
    (there,) = site.sandbox.models_named(NAME)
    assert {v["status"] for v in there["versions"]} == {"Published"}


@pytest.mark.parametrize("kind", ["file", "post", "image"])
def test_what_somebody_took_out_of_a_draft_is_sent_again(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, kind: str
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id, draft=True)
    site.sandbox.world.store.delete(kind, site.sandbox.world.store.every(kind)[0]["id"])
    assert publish_now(registry, client, version_id).status == "published"
    assert held_bytes(site, the_only_one(site)) == local_bytes(registry, version_id)


def test_other_bytes_after_a_lost_answer_take_the_place_of_the_first(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path, metadata={"note": "/home/someone/private"})
    form = form_of(registry, version_id)
    with pytest.raises(Killed):
        publish(registry, client, form, accept=[HARMLESS, "header-private"], report=dies_at("file: sent"))
    assert publish_now(registry, client, version_id, strip="yes").differences == ()
    the_only_one(site)


def test_a_version_without_a_file_is_not_left_public(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    store = site.sandbox.world.store

    def lose(event: Progress) -> None:
        if event.message == "publish model: sent":
            store.delete("file", store.every("file")[0]["id"])

    with pytest.raises(errors.CivitaiError, match="has no file, so it was hidden again"):
        publish_now(registry, client, version_id, report=lose)
    assert store.every("version")[0]["status"] == "Unpublished"
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


def test_the_page_is_read_back_and_compared(site: Bench, client: Civitai, registry: Registry, tmp_path: Path) -> None:
    store = site.sandbox.world.store

    def moderate(event: Progress) -> None:
        if event.message == "publish model: sent":
            store.put("model", {**store.every("model")[0], "nsfw": True})

    done = publish_now(registry, client, make_version(registry, tmp_path), report=moderate)
    assert [(one.field, one.sent, one.found) for one in done.differences] == [("nsfw", "False", "True")]


def test_a_page_goes_live_at_its_time(site: Bench, client: Civitai, registry: Registry, tmp_path: Path) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id, published_at="2031-05-01T12:00:00Z")
    assert done.status == "scheduled"
    before = site.asked("model.publish")
    assert publish_now(registry, client, version_id).status == "scheduled"
    assert site.asked("model.publish") == before
    with pytest.raises(errors.MissingError):
        client.model(done.model_id)
    site.clock.now = site.clock.now.replace(year=2031)
    assert client.model(done.model_id).id == done.model_id


def test_a_draft_beside_a_scheduled_version_is_a_draft(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    first = make_version(registry, tmp_path)
    assert publish_now(registry, client, first, published_at="2031-05-01T12:00:00Z").status == "scheduled"
    second = add_version(registry, tmp_path, first)
    assert publish_now(registry, client, second, draft=True).status == "draft"
    assert not library.version(registry, second).published_url


def test_somebody_else_s_page_is_told_from_a_dead_key(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id)
    age_steps(registry)
    site.clock.slept.clear()
    with site.client("other") as other:
        with pytest.raises(errors.NotOwnerError):
            publish_now(registry, other, version_id)
        with pytest.raises(errors.NotOwnerError):
            other.publish_version(done.version_id, fresh=False)
        # No replica catches up with what is somebody else's; only what is new is waited for.
        assert sum(site.clock.slept) == 0
        with pytest.raises(errors.NotOwnerError):
            other.publish_version(done.version_id, fresh=True)
        assert sum(site.clock.slept) == 30
    with Civitai(site.sandbox.url, "0" * 32, sleep=site.clock.sleep) as dead, pytest.raises(errors.TokenError):
        publish_now(registry, dead, version_id)


def test_the_post_limit_says_when_to_go_on(site: Bench, client: Civitai, registry: Registry, tmp_path: Path) -> None:
    site.sandbox.settings.posts_per_day = 1
    publish_now(registry, client, make_version(registry, tmp_path, name="Other", seed=9))
    version_id = make_version(registry, tmp_path)
    with pytest.raises(errors.PostLimitError) as caught:
        publish_now(registry, client, version_id)
    (row,) = registry.db.execute("SELECT started_at FROM publication_steps WHERE name = 'post' AND state = 'done'")
    free = timestamps.parse(row[0]) + timedelta(days=1)
    assert f"the draft is kept: run the same command again after {free.astimezone():%a %H:%M}" in caught.value.hint
    assert "/wizard?step=4" in caught.value.hint


def test_a_lagging_replica_costs_no_post(site: Bench, client: Civitai, registry: Registry, tmp_path: Path) -> None:
    site.sandbox.settings.posts_per_day, site.sandbox.settings.replica_lag = 1, 3
    assert publish_now(registry, client, make_version(registry, tmp_path)).status == "published"
    assert site.asked("post.create") == 1


def test_an_expired_address_of_a_part_is_signed_again(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    site.sandbox.settings.faults = [Fault("/sandbox-models/", method="PUT", status=403, times=2)]
    version_id = make_version(registry, tmp_path)
    assert publish_now(registry, client, version_id).status == "published"
    assert held_bytes(site, the_only_one(site)) == local_bytes(registry, version_id)
    assert site.asked("/api/upload/sign-part") == 2


def test_an_upload_that_the_storage_forgot_begins_anew(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    with pytest.raises(Killed):
        publish_now(registry, client, version_id, report=dies_at("upload: 1 parts"))
    store = site.sandbox.world.store
    store.delete("upload", store.every("upload")[0]["id"])
    assert publish_now(registry, client, version_id).status == "published"
    assert held_bytes(site, the_only_one(site)) == local_bytes(registry, version_id)


def test_a_draft_of_thirty_days_is_gone_and_begun_anew(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id, draft=True)
    assert site.sandbox.expire_drafts() == []
    site.clock.sleep(31 * 86400)
    assert len(site.sandbox.expire_drafts()) == 1
    age_steps(registry)
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


_STORM = {"lost": 0.15, "reset": 0.1, "cut": 0.1, "503": 0.1, "429": 0.05, "html": 0.1, "502": 0.05, "expired": 0.2}


@pytest.mark.parametrize("seed", range(4))
def test_through_a_storm_of_faults_it_ends_whole(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, seed: int
) -> None:
    """Every answer may be lost, cut or an error, whether the work was done or not; the same call is given again."""
    settings = site.sandbox.settings
    settings.seed, settings.rules = seed, [Rule(kind, rate) for kind, rate in _STORM.items()]
    settings.devalue, settings.replica_lag = seed % 2 == 0, seed % 4
    version_id = make_version(registry, tmp_path)
    tries = 0
    while True:
        tries += 1
        try:
            assert publish_now(registry, client, version_id).status == "published"
            break
        except errors.CivitaiError:
            assert tries < 40
    settings.rules = []
    assert len(site.sandbox.struck) > 5
    assert held_bytes(site, the_only_one(site)) == local_bytes(registry, version_id)
