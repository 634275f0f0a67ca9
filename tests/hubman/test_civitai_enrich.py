"""What Civitai says of files that are here already, and which of them have news."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.civitai.client import Civitai
from hubman.civitai.enrich import Enriched, enrich, not_on_civitai, updates
from hubman.civitai.errors import UnavailableError
from hubman.jobs.handlers import collection
from hubman.progress import silent
from hubman.sandbox import Fault, Seeded, seed_model
from registry import library
from registry.database import Registry
from registry.scan import index_file
from tests.support.civitai import Bench, bench, quick_registry, write_lora
from tests.support.jobs import fake_job


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as running:
        yield running


@pytest.fixture
def client(site: Bench) -> Iterator[Civitai]:
    with site.client("") as opened:
        yield opened


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with quick_registry(tmp_path / "home") as opened:
        yield opened


def _indexed(site: Bench, registry: Registry, folder: Path, seed: int, name: str) -> tuple[str, Seeded]:
    path = write_lora(folder / f"{seed}.safetensors", seed=seed)
    return index_file(registry, path), seed_model(site.sandbox, path, name=name, words=["word"], tags=["style"])


def test_files_that_civitai_has_get_its_facts(site: Bench, client: Civitai, registry: Registry, tmp_path: Path) -> None:
    known, seeded = _indexed(site, registry, tmp_path, 1, "Harbor")
    unknown = index_file(registry, write_lora(tmp_path / "mine.safetensors", seed=2))
    assert enrich(registry, client, report=silent) == Enriched(found=1, unknown=1)
    version = library.version(registry, known)
    assert (version.civitai_id, version.trigger_words) == (seeded.version_id, ("word",))
    assert library.show(registry, version.model_id).name == "Harbor"
    assert library.version(registry, unknown).civitai_id is None


def test_a_model_that_is_gone_stays_marked(site: Bench, client: Civitai, registry: Registry, tmp_path: Path) -> None:
    version_id, seeded = _indexed(site, registry, tmp_path, 1, "Harbor")
    enrich(registry, client, report=silent)
    store = site.sandbox.world.store
    store.put("model", {**(store.get("model", seeded.model_id) or {}), "status": "Deleted"})
    assert enrich(registry, client, report=silent) == Enriched(gone=1)
    model = library.show(registry, library.version(registry, version_id).model_id)
    assert (model.name, model.upstream_deleted) == ("Harbor", True)


def test_a_site_that_is_down_deletes_nothing(site: Bench, client: Civitai, registry: Registry, tmp_path: Path) -> None:
    version_id, _seeded = _indexed(site, registry, tmp_path, 1, "Harbor")
    enrich(registry, client, report=silent)
    site.sandbox.settings.faults = [Fault("/api/v1/models", status=503, times=99)]
    with pytest.raises(UnavailableError):
        enrich(registry, client, report=silent)
    assert not library.show(registry, library.version(registry, version_id).model_id).upstream_deleted


def test_what_civitai_does_not_know_is_named(site: Bench, client: Civitai, registry: Registry, tmp_path: Path) -> None:
    known, _seeded = _indexed(site, registry, tmp_path, 1, "Harbor")
    enrich(registry, client, report=silent)
    own = index_file(registry, write_lora(tmp_path / "own.safetensors", seed=9))
    model = library.version(registry, known).model_id
    assert not_on_civitai(registry) == ["own"]
    assert not_on_civitai(registry, [model]) == []
    assert not_on_civitai(registry, [library.version(registry, own).model_id]) == ["own"]


def test_newer_versions_are_news_until_they_are_here(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id, seeded = _indexed(site, registry, tmp_path, 1, "Harbor")
    enrich(registry, client, report=silent)
    assert updates(registry, client) == []
    newer = write_lora(tmp_path / "newer.safetensors", seed=8)
    with site.client("full") as owner:
        number = owner.upsert_version({"modelId": seeded.model_id, "name": "v2.0", "baseModel": "SD 1.5"})
        sent = owner.upload_file(newer, name=newer.name)
        owner.create_file({
            "name": newer.name, "type": "Model", "modelVersionId": number, "sizeKB": sent.size / 1024, "url": sent.url,
            "s3Path": sent.key,
        })  # fmt: skip
        owner.publish_version(number)
    (update,) = updates(registry, client)
    assert (update.name, update.have, update.newest) == ("Harbor", "v1.0", "v2.0")
    assert update.model_id == library.version(registry, version_id).model_id
    assert update.ref.endswith(f"/models/{seeded.model_id}?modelVersionId={number}")
    assert updates(registry, client, [update.model_id]) == [update]
    assert updates(registry, client, ["another"]) == []
    (row,) = library.model_rows(registry, [update.model_id])
    assert "U" in row.flags
    index_file(registry, newer)
    enrich(registry, client, report=silent)
    assert updates(registry, client) == []


def test_the_job_tells_what_civitai_was_not_asked_about(registry: Registry, tmp_path: Path) -> None:
    own = index_file(registry, write_lora(tmp_path / "own.safetensors", seed=9))
    model = library.version(registry, own).model_id
    for models in ([model], []):
        job = fake_job(registry, "updates", "ask", {"models": models}, state="running")
        found = collection.updates(registry, job, silent, lambda: False)
        assert found == {"updates": [], "asked": 0, "unknown": 1, "names": ["own"]}
