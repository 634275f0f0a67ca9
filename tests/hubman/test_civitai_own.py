"""Publishing what is one's own, and rehearsing it without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.civitai.client import Civitai
from hubman.civitai.enrich import enrich
from hubman.progress import Progress, silent
from registry import library
from registry.database import Registry
from tests.support.civitai import Bench, bench
from tests.support.publishing import NAME, make_version, publish_now, the_only_one


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, chunk_size=1000) as running:
        yield running


@pytest.fixture
def version_id(registry: Registry, tmp_path: Path) -> str:
    return make_version(registry, tmp_path)


def test_a_rehearsal_leaves_no_trace_in_the_library(site: Bench, registry: Registry, version_id: str) -> None:
    with Civitai(site.sandbox.url, site.sandbox.token(), sleep=site.clock.sleep, is_rehearsal=True) as rehearsal:
        before = library.show(registry, library.version(registry, version_id).model_id)
        assert publish_now(registry, rehearsal, version_id).status == "published"
        assert library.show(registry, before.id) == before
        found = enrich(registry, rehearsal, report=silent)
        assert (found.found, found.gone) == (1, 0)
        after = library.version(registry, version_id)
        assert (after.model_id, after.civitai_id, after.published_url) == (before.id, None, None)
        assert library.show(registry, before.id).civitai_id is None


def test_what_one_published_stays_one_s_own_after_civitai_told_of_it(
    site: Bench, client: Civitai, registry: Registry, version_id: str, tmp_path: Path
) -> None:
    publish_now(registry, client, version_id)
    enrich(registry, client, report=silent)
    model = library.show(registry, library.version(registry, version_id).model_id)
    assert (model.origin, model.name) == ("trained", NAME)
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


def test_a_found_lora_that_one_published_may_be_published_on(
    site: Bench, client: Civitai, registry: Registry, version_id: str
) -> None:
    library.set_facts(registry, library.version(registry, version_id).model_id, "training", {"origin": None})
    publish_now(registry, client, version_id)
    enrich(registry, client, report=silent)
    assert library.show(registry, library.version(registry, version_id).model_id).origin == "civitai"
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


@pytest.mark.parametrize("step", ["model", "version"])
def test_a_killed_publication_under_another_name_makes_nothing_twice(
    site: Bench, client: Civitai, registry: Registry, version_id: str, step: str
) -> None:
    def die(progress: Progress) -> None:
        if (progress.data.get("step"), progress.data.get("state")) == (step, "sent"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish_now(registry, client, version_id, report=die)
    renamed = {"model": {"name": "Another"}, "version": {"version_name": "v9"}}[step]
    assert publish_now(registry, client, version_id, **renamed).status == "published"
    version = the_only_one(site, name=renamed.get("name", NAME))
    assert version["name"] == renamed.get("version_name", "v1.0")
    assert len(site.sandbox.models_named(NAME)) == (step == "version")
