"""Traps of the site that no flow of its own falls into: what its nightly sweep took down, what an update clears, a first day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hubman.civitai import errors
from hubman.civitai.client import Civitai
from registry import timestamps
from registry.database import Registry
from tests.support.civitai import Bench, bench
from tests.support.publishing import (
    NAME,
    age_steps,
    held,
    held_bytes,
    local_bytes,
    make_version,
    publish_now,
    the_only_one,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as running:
        yield running


@pytest.mark.parametrize("lost", ["file", "post"])
def test_what_the_nightly_sweep_took_down_is_whole_and_public_again_with_the_same_command(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, lost: str
) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id)
    store = site.sandbox.world.store
    store.delete(lost, store.every(lost)[0]["id"])
    assert site.sandbox.sweep() == [done.version_id]
    assert site.sandbox.models_named(NAME)[0]["status"] == "Unpublished"
    age_steps(registry)
    again = publish_now(registry, client, version_id)
    assert (again.status, again.model_id, again.version_id) == ("published", done.model_id, done.version_id)
    assert held_bytes(site, the_only_one(site)) == local_bytes(registry, version_id)
    assert site.sandbox.sweep() == []


def test_an_update_repeats_what_the_site_would_clear_or_change_by_itself(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    done = publish_now(registry, client, version_id)
    there = held(site, "version", done.version_id)
    kept = {"monetization": {"type": "PaidAccess"}, "usageControl": "Generation"}
    site.sandbox.world.store.put("version", {**there, **kept})
    told = publish_now(registry, client, version_id, edit=True, dry_run=True, strength="0.6").requests
    sent = next(one.body["json"] for one in told if one.path.endswith("modelVersion.upsert"))
    assert {name: sent[name] for name in kept} == kept
    # Written as it is given: a draft's would pull the public version down.
    assert "status" not in sent


def test_an_account_s_first_day_has_a_limit_by_the_hour(site: Bench, registry: Registry, tmp_path: Path) -> None:
    versions = [make_version(registry, tmp_path, name=f"Ink {n}", seed=n) for n in range(3)]
    with site.client("fresh") as client:
        for version_id in versions[:2]:
            publish_now(registry, client, version_id)
        with pytest.raises(errors.PostLimitError) as caught:
            publish_now(registry, client, versions[2])
        rows = registry.db.execute(
            "SELECT min(started_at) FROM publication_steps WHERE name = 'post' AND state = 'done'"
        )
        free = timestamps.parse(rows.fetchone()[0]) + timedelta(hours=1)
        assert f"run the same command again after {free.astimezone():%a %H:%M}" in caught.value.hint
        site.clock.sleep(3601)
        assert publish_now(registry, client, versions[2]).status == "published"
    assert len(site.sandbox.world.store.every("post")) == 3
