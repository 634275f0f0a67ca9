"""Pulling: verified, indexed, with facts that never overwrite a person's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubman import config
from hubman.civitai.client import Civitai
from hubman.civitai.errors import MissingError
from hubman.civitai.html_text import to_text
from hubman.civitai.names import WEIGHTS, safe_name
from hubman.civitai.pull import PulledModel, pull
from hubman.progress import Progress, silent
from hubman.sandbox import Fault, Seeded, seed_model
from registry import edits, ids, library
from registry.database import Registry
from registry.errors import HubError, UsageError
from tests.support.civitai import Bench, bench, write_lora, write_png


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as running:
        yield running


@pytest.fixture
def client(site: Bench) -> Iterator[Civitai]:
    with site.client("") as opened:
        yield opened


@pytest.fixture
def into(registry: Registry) -> Path:
    return registry.models_folder / "pulled"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_lora(tmp_path / "source" / "harbor.safetensors")


@pytest.fixture
def seeded(site: Bench, source: Path, tmp_path: Path) -> Seeded:
    pictures: list[tuple[Path, dict[str, Any]]] = [
        (write_png(tmp_path / f"{colour}.png", colour), {"prompt": f"a {colour} boat", "seed": 7, "comfy": "{}"})
        for colour in ("red", "blue")
    ]
    return seed_model(
        site.sandbox,
        source,
        name="Harbor Style",
        words=["hrbr style"],
        tags=["style", "Boats"],
        description="<p>Boats &amp; <b>more</b></p>",
        previews=pictures,
        model_fields={"allowDerivatives": False},
    )


def test_a_pulled_file_is_verified_and_known_with_all_its_facts(
    registry: Registry, client: Civitai, seeded: Seeded, source: Path, into: Path
) -> None:
    heard: list[Progress] = []
    done = pull(registry, client, str(seeded.version_id), into=into, report=heard.append)
    assert (done.path, done.verified) == (into / "harbor.safetensors", True)
    assert (
        done.sha256
        == hashlib.sha256(done.path.read_bytes()).hexdigest()
        == hashlib.sha256(source.read_bytes()).hexdigest()
    )
    assert done.version_id == ids.item_id(done.sha256)
    version = library.version(registry, done.version_id)
    assert (version.base_model, version.civitai_id, version.trigger_words) == (
        "SD 1.5",
        seeded.version_id,
        ("hrbr style",),
    )
    model = library.show(registry, version.model_id)
    assert model.id == ids.civitai_model_id(seeded.model_id)
    assert (model.name, model.creator, model.origin, model.kind) == ("Harbor Style", "creator", "civitai", "lora")
    assert (model.tags, model.description, model.civitai_id) == (("boats", "style"), "Boats & more", seeded.model_id)
    assert model.permissions["allowDerivatives"] is False
    assert [(p.generation, p.source, p.nsfw_level) for p in version.previews] == [
        ({"prompt": "a red boat", "seed": 7}, "civitai", 1), ({"prompt": "a blue boat", "seed": 7}, "civitai", 1),
    ]  # fmt: skip
    assert heard[-1].data == {"version_id": done.version_id}


def test_every_kind_of_reference_leads_to_the_same_file(
    site: Bench, registry: Registry, client: Civitai, seeded: Seeded, source: Path, into: Path
) -> None:
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    refs = [
        f"{site.sandbox.url}/models/{seeded.model_id}/harbor?modelVersionId={seeded.version_id}",
        f"https://civitai.com/models/{seeded.model_id}",
        f"urn:air:sd1:lora:civitai:{seeded.model_id}@{seeded.version_id}",
        str(seeded.version_id), sha256, sha256[:10].upper(),
    ]  # fmt: skip
    pulled = {pull(registry, client, ref, into=into, report=silent) for ref in refs}
    assert len(pulled) == 1
    assert site.asked("/sandbox-models/") == 1


def test_a_file_that_is_here_is_not_downloaded_again(
    site: Bench, registry: Registry, client: Civitai, seeded: Seeded, source: Path, into: Path
) -> None:
    from registry.scan import index_file

    index_file(registry, source)
    done = pull(registry, client, str(seeded.version_id), into=into, report=silent)
    assert (done.path, done.verified, site.asked("/api/download/")) == (source, True, 0)


def test_a_person_s_word_outlives_a_pull(
    registry: Registry, client: Civitai, seeded: Seeded, source: Path, into: Path
) -> None:
    from registry.scan import index_file

    version_id = index_file(registry, source)
    standalone = library.version(registry, version_id).model_id
    edits.edit(registry, standalone, version_id, {"name": "Mine", "rating": "4", "notes": "for K.", "tags": "keep"})
    model_id = library.version(registry, _pull(registry, client, seeded, into).version_id).model_id
    model = library.show(registry, model_id)
    assert (model.name, model.rating, model.notes, model.creator) == ("Mine", 4, "for K.", "creator")
    assert set(model.tags) == {"keep", "style", "boats"}
    edits.edit(registry, model_id, version_id, {"tags": "keep", "trigger_words": "mine", "base_model": "SD 1.4"})
    _pull(registry, client, seeded, into)
    again = library.version(registry, version_id)
    assert library.show(registry, model_id).tags == ("keep",)
    assert (again.trigger_words, again.base_model) == (("mine",), "SD 1.4")


def _pull(registry: Registry, client: Civitai, seeded: Seeded, into: Path) -> PulledModel:
    return pull(registry, client, str(seeded.version_id), into=into, report=silent)


def test_a_name_that_is_taken_by_another_file_gets_a_number(
    registry: Registry, client: Civitai, seeded: Seeded, into: Path
) -> None:
    other = write_lora(into / "harbor.safetensors", seed=9)
    before = other.read_bytes()
    done = _pull(registry, client, seeded, into)
    assert done.path.name == f"harbor-{seeded.version_id}.safetensors"
    assert other.read_bytes() == before


def test_a_hostile_name_stays_in_its_folder(
    site: Bench, registry: Registry, client: Civitai, source: Path, into: Path
) -> None:
    seeded = seed_model(site.sandbox, source, name="Evil")
    store = site.sandbox.world.store
    file = store.get("file", seeded.file_id) or {}
    store.put("file", {**file, "name": "../../\x1b[31m..\\etc/passwd"})
    done = _pull(registry, client, seeded, into)
    assert done.path.parent == into
    assert done.path.name == "passwd.safetensors"


def test_a_dangerous_file_is_not_downloaded(
    site: Bench, registry: Registry, client: Civitai, tmp_path: Path, into: Path
) -> None:
    seeded = seed_model(site.sandbox, write_lora(tmp_path / "infected.safetensors"), name="Bad")
    with pytest.raises(HubError, match="dangerous"):
        _pull(registry, client, seeded, into)
    assert site.asked("/api/download/") == 0


def test_an_unscanned_file_comes_unverified(tmp_path: Path, registry: Registry, source: Path, into: Path) -> None:
    with bench(tmp_path / "slow", scan_delay=60.0) as site, site.client("") as client:
        seeded = seed_model(site.sandbox, source, name="Harbor")
        done = _pull(registry, client, seeded, into)
        assert not done.verified
        assert done.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()


def test_a_picture_that_can_not_be_had_does_not_stop_a_pull(
    site: Bench, registry: Registry, client: Civitai, seeded: Seeded, into: Path
) -> None:
    site.sandbox.settings.faults = [Fault("/media/", status=404)]
    done = _pull(registry, client, seeded, into)
    assert len(library.version(registry, done.version_id).previews) == 1


@pytest.mark.parametrize(("told", "prompts"), [("", ["a red boat", "a blue boat"]), ('nsfw = "r"\n', ["a blue boat"])])
def test_no_picture_above_the_level_that_a_person_set_is_fetched(
    registry: Registry, client: Civitai, site: Bench, seeded: Seeded, into: Path, monkeypatch: pytest.MonkeyPatch,
    told: str, prompts: list[str],
) -> None:  # fmt: skip
    monkeypatch.delenv("HUBMAN_NSFW", raising=False)
    (registry.home / config.FILE).write_text(told)
    store = site.sandbox.world.store
    for image, level in zip(store.children("image", seeded.post_id), (8, 4), strict=True):
        store.put("image", {**image, "nsfwLevel": level, "ingestion": "Scanned"})
    version = library.version(registry, _pull(registry, client, seeded, into).version_id)
    assert [preview.generation["prompt"] for preview in version.previews] == prompts


@pytest.mark.parametrize(("ref", "kind"), [("7", MissingError), ("0" * 64, MissingError), ("harbor style", UsageError)])
def test_a_reference_to_nothing_says_so(
    registry: Registry, client: Civitai, into: Path, ref: str, kind: type[HubError]
) -> None:
    with pytest.raises(kind):
        pull(registry, client, ref, into=into, report=silent)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_name_becomes_a_plain_file_name(name: str) -> None:
    safe = safe_name(name, fallback="civitai-1")
    assert Path(safe).name == safe
    assert Path(safe).suffix in WEIGHTS
    assert safe.isprintable()
    assert len(safe.encode()) < 200
    assert not safe.startswith(".")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../x.safetensors", "x.safetensors"), ("C:\\a\\b.pt", "b.pt"), ("con.safetensors", "f.safetensors"), ("", "f.safetensors"),
        ("evil.sh", "evil.sh.safetensors"), ("a:b?.SAFETENSORS", "a_b_.safetensors"), ("...", "f.safetensors"),
    ],
)  # fmt: skip
def test_names_are_made_harmless(name: str, safe: str) -> None:
    assert safe_name(name, fallback="f") == safe


def test_descriptions_become_plain_text() -> None:
    html = (
        "<h2>Use</h2><p>At <b>0.8</b>.<br>See <a href='https://x.example/a'>this</a></p>"
        "<ul><li>one</li><li>two</li></ul><script>alert(1)</script><a href='javascript:x'>no</a>&#27;[31m"
    )
    assert to_text(html) == "Use\n\nAt 0.8.\nSee this (https://x.example/a)\n\n- one\n- two\n\nno[31m"


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_description_becomes_text_without_controls(html: str) -> None:
    assert all(char.isprintable() or char in "\n" for char in to_text(html) if ord(char) < 0x20)
