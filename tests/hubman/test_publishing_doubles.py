"""Ways to a second model, version, file, post or picture, and to words that nobody meant: each ends as one of each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.civitai import errors
from hubman.civitai.client import Civitai
from hubman.civitai.finding import HARMLESS
from hubman.civitai.publish import publish
from hubman.sandbox import Fault
from registry.database import Registry
from registry.errors import HubError
from tests.support.civitai import Bench, bench
from tests.support.publishing import (
    MISSING,
    NAME,
    Altered,
    Killed,
    add_version,
    age_steps,
    dies_at,
    every,
    form_of,
    held_bytes,
    local_bytes,
    make_version,
    publish_now,
    the_only_one,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, posts_per_day=10_000) as running:
        yield running


def test_two_models_of_one_name_keep_a_page_each_though_an_answer_was_lost(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    first = make_version(registry, tmp_path)
    with pytest.raises(Killed):
        publish_now(registry, client, first, report=dies_at("model: sent"))
    second = make_version(registry, tmp_path, seed=3)
    other = publish_now(registry, client, second, draft=True)
    assert publish_now(registry, client, first, draft=True).model_id != other.model_id
    assert [len(model["versions"]) for model in site.sandbox.models_named(NAME)] == [1, 1]


def test_two_versions_of_one_name_stay_two_though_an_answer_was_lost(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    first = make_version(registry, tmp_path)
    with pytest.raises(Killed):
        publish_now(registry, client, first, report=dies_at("version: sent"))
    second = add_version(registry, tmp_path, first, name="v1.0")
    other = publish_now(registry, client, second, draft=True)
    done = publish_now(registry, client, first, draft=True)
    assert (done.model_id, done.version_id != other.version_id) == (other.model_id, True)
    (there,) = site.sandbox.models_named(NAME)
    assert [len(version["files"]) for version in there["versions"]] == [1, 1]


def test_a_joined_page_that_one_answer_calls_gone_is_not_made_anew(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    done = publish_now(registry, client, make_version(registry, tmp_path))
    second = make_version(registry, tmp_path, name="Another", seed=3)
    # The check before it is told the truth.
    site.sandbox.settings.faults = [Fault("model.getById", method="GET", status=404, body=MISSING, skip=1)]
    with pytest.raises(errors.CivitaiError):
        publish_now(registry, client, second, civitai_model_id=str(done.model_id))
    assert len(every(site, "model")) == 1


@pytest.mark.parametrize("step", ["version", "post"])
def test_where_a_lost_answer_can_t_be_looked_up_nothing_is_made_again(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, step: str
) -> None:
    version_id = make_version(registry, tmp_path)
    with pytest.raises(Killed):
        publish_now(registry, client, version_id, report=dies_at(f"{step}: sent"))
    age_steps(registry)
    site.sandbox.settings.faults = [Fault("model.getById", method="GET", status=404, body=MISSING, skip=1, times=9)]
    with pytest.raises(errors.CivitaiError):
        publish_now(registry, client, version_id)
    site.sandbox.settings.faults = []
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


def test_a_version_that_its_page_does_not_show_gets_no_second_post(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    with pytest.raises(Killed):
        publish_now(registry, client, version_id, report=dies_at("post: sent"))
    age_steps(registry)
    with Altered(site, "model.getById", {"modelVersions": []}) as other, pytest.raises(errors.CivitaiError):
        publish_now(registry, other, version_id)
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


def test_a_file_that_only_one_answer_leaves_out_is_not_sent_twice(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    before = the_only_one(site)
    with Altered(site, "modelVersion.getByIdForEdit", {"files": []}) as other, pytest.raises(errors.CivitaiError):
        publish_now(registry, other, version_id)
    assert the_only_one(site) == before


def test_a_picture_whose_answer_was_lost_and_which_is_then_refused_is_shown_once(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    site.sandbox.settings.faults = [
        Fault("post.addImage", after=True, drop=True),
        Fault("post.addImage", status=400, body='{"error":{"json":{"message":"No","data":{"code":"BAD_REQUEST"}}}}'),
    ]
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


def test_several_versions_go_out_though_the_replicas_lag(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    site.sandbox.settings.replica_lag = 3
    first = make_version(registry, tmp_path)
    second = add_version(registry, tmp_path, first)
    assert publish_now(registry, client, first, second).status == "published"
    (there,) = site.sandbox.models_named(NAME)
    assert [(len(v["files"]), len(v["posts"])) for v in there["versions"]] == [(1, 1), (1, 1)]


def test_public_bytes_stay_also_right_after_they_went_out(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path, metadata={"note": "/home/someone/private"})
    publish(registry, client, form_of(registry, version_id), accept=[HARMLESS, "header-private"])
    with pytest.raises(HubError, match="is public with other bytes"):
        publish_now(registry, client, version_id, strip="yes")
    assert held_bytes(site, the_only_one(site)) == local_bytes(registry, version_id)


@pytest.mark.parametrize(
    ("step", "fields"),
    [("model", {"description": "New."}), ("version", {"strength": "0.6"}), ("version", {"clip_skip": "2"})],
)
def test_a_change_that_was_cut_off_and_taken_back_is_taken_back_on_the_page(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, step: str, fields: dict[str, str]
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id)
    before = [{**one, "updatedAt": ""} for kind in ("model", "version") for one in every(site, kind)]
    with pytest.raises(Killed):
        publish_now(registry, client, version_id, edit=True, report=dies_at(f"change {step}: sent"), **fields)
    back = {"description": "", "strength": "0.8", "clip_skip": ""}
    assert (
        publish_now(registry, client, version_id, edit=True, **{name: back[name] for name in fields}).differences == ()
    )
    assert [{**one, "updatedAt": ""} for kind in ("model", "version") for one in every(site, kind)] == before


def _by_hand(registry: Registry) -> None:
    """The site has a file, a post and pictures that were not sent from here: a browser put them there."""
    registry.db.execute("DELETE FROM publication_steps WHERE name NOT IN ('model', 'version')")
    age_steps(registry)


def test_a_draft_that_was_finished_in_a_browser_is_not_filled_twice(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id, draft=True)
    _by_hand(registry)
    before = site.asked("/api/upload"), site.asked("post.addImage"), site.asked("post.create")
    assert publish_now(registry, client, version_id).differences == ()
    the_only_one(site)
    assert (site.asked("/api/upload"), site.asked("post.addImage"), site.asked("post.create")) == before


def test_another_file_in_a_draft_is_not_joined_by_a_second(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id, draft=True)
    _by_hand(registry)
    (file,) = every(site, "file")
    site.sandbox.world.store.put("file", {**file, "sizeKB": 1})
    with pytest.raises(HubError, match="was not sent from here"):
        publish_now(registry, client, version_id)
    assert len(every(site, "file")) == 1


def test_versions_of_two_pages_are_not_mixed(site: Bench, client: Civitai, registry: Registry, tmp_path: Path) -> None:
    first = publish_now(registry, client, make_version(registry, tmp_path))
    second = make_version(registry, tmp_path, name="Another", seed=3)
    other = publish_now(registry, client, second)
    age_steps(registry)
    with pytest.raises(HubError, match="is on another page"):
        publish_now(registry, client, second, civitai_model_id=str(first.model_id))
    assert [version["modelId"] for version in every(site, "version")] == [first.model_id, other.model_id]


def test_a_vanished_page_is_forgotten_as_a_whole_or_not_at_all(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    first = make_version(registry, tmp_path)
    second = add_version(registry, tmp_path, first)
    with pytest.raises(Killed):
        publish_now(registry, client, first, second, report=dies_at("publish model: started"))
    for kind in ("model", "version", "file", "post", "image"):
        for one in every(site, kind):
            site.sandbox.world.store.delete(kind, one["id"])
    age_steps(registry)
    # The disk is full when the second version's steps are forgotten.
    registry.db.execute(
        f"""CREATE TEMP TRIGGER full BEFORE DELETE ON publication_steps WHEN old.publication_id =
        (SELECT id FROM publications WHERE version_id = '{second}') BEGIN SELECT raise(ABORT, 'full'); END"""  # noqa: S608
    )
    with pytest.raises(sqlite3.IntegrityError, match="full"):
        publish_now(registry, client, first, second)
    registry.db.execute("DROP TRIGGER full")
    assert publish_now(registry, client, first, second).status == "published"
    (there,) = site.sandbox.models_named(NAME)
    assert [(len(v["files"]), len(v["posts"])) for v in there["versions"]] == [(1, 1), (1, 1)]
