"""The generated catalogue: the same for the same seed, true hashes, files and pictures made when asked for."""

from __future__ import annotations

import io
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from hubman.civitai import contract, lenient
from hubman.civitai.image_search import ImageSearch
from hubman.civitai.records import HashMatch, RemoteVersion, model_from
from hubman.sandbox import Sandbox, Settings
from hubman.sandbox.catalogue import contents
from registry.errors import UsageError
from registry.hashing import hash_file
from registry.headers import read_header
from tests.support.civitai import Bench, FakeClock, bench, write_lora

_MANY = 140


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("shop")) as running:
        running.sandbox.seed_catalogue(_MANY, seed=3)
        yield running


@pytest.fixture(scope="module")
def models(shop: Bench) -> list[dict[str, Any]]:
    """Every model that the list shows."""
    found: list[dict[str, Any]] = []
    url = "/api/v1/models?limit=100&nsfw=true&archived=true&sort=Oldest"
    while url:
        page = shop.get(url).json()
        found += page["items"]
        url = page["metadata"].get("nextPage", "").removeprefix(shop.sandbox.url)
    return found


def test_the_same_seed_makes_the_same_things(shop: Bench, models: list[dict[str, Any]], tmp_path: Path) -> None:
    def sums(items: list[dict[str, Any]]) -> dict[int, Any]:
        return {
            item["id"]: (
                item["name"],
                [(f["id"], f["hashes"]) for version in item["modelVersions"] for f in version["files"]],
                [picture["url"].split("/")[4:] for version in item["modelVersions"] for picture in version["images"]],
            )
            for item in items
        }

    with bench(tmp_path) as again:
        again.sandbox.seed_catalogue(60, seed=3)
        query = "/api/v1/models?limit=100&nsfw=true&archived=true&sort=Oldest"
        small = sums(again.get(query).json()["items"])
        again.sandbox.seed_catalogue(60, seed=4)
        other = sums(again.get(query).json()["items"])
    large = sums(models)
    assert len(small) > 50
    # A smaller catalogue is the beginning of a larger one.
    assert small == {key: large[key] for key in small}
    assert set(small) & set(other)
    assert not any(small[key] == other[key] for key in set(small) & set(other))


def test_a_catalogue_stays_between_starts_and_beside_what_was_published(tmp_path: Path) -> None:
    from hubman.sandbox import seed_model

    with Sandbox(tmp_path / "s", settings=Settings(clock=FakeClock())) as sandbox:
        own = seed_model(sandbox, write_lora(tmp_path / "a.safetensors"), name="Mine")
        first = sandbox.seed_catalogue(30, seed=1)
    with Sandbox(tmp_path / "s", settings=Settings(clock=FakeClock())) as sandbox:
        assert sandbox.seed_catalogue(30, seed=1) == first
        sandbox.seed_catalogue(5, seed=1)
        assert sandbox.holds()["models"] == 6
        answer = httpx.get(f"{sandbox.url}/api/v1/models/{own.model_id}")
        assert (answer.status_code, answer.json()["name"]) == (200, "Mine")
        assert httpx.get(f"{sandbox.url}/api/v1/models/100020").status_code == 404
        with pytest.raises(UsageError, match="1 to"):
            sandbox.seed_catalogue(100_000)


def test_it_has_everything_that_a_client_must_cope_with(models: list[dict[str, Any]]) -> None:
    versions = [version for model in models for version in model["modelVersions"]]
    files = [file for version in versions for file in version["files"]]
    images = [image for version in versions for image in version["images"]]
    assert {model["type"] for model in models} == set(contract.enum_values("ModelType"))
    assert {use for model in models for use in model["allowCommercialUse"]} == set(
        contract.enum_values("CommercialUse")
    )
    assert {model.get("mode") for model in models} == {None, "Archived", "TakenDown"}
    assert {image["nsfwLevel"] for image in images} == {1, 2, 4, 8, 16}
    assert {image["type"] for image in images} == {"image", "video"}
    assert any(version.get("earlyAccessDeadline") for version in versions)
    assert any(model["stats"]["downloadCount"] is None for model in models)
    assert any(model["poi"] for model in models)
    assert {file["metadata"].get("format") for file in files} >= {"SafeTensor", "PickleTensor", "GGUF", "Other"}
    assert max(Counter(len(version["files"]) for version in versions)) > 3


def test_told_hashes_and_sizes_are_those_of_what_is_downloaded(
    shop: Bench, models: list[dict[str, Any]], tmp_path: Path
) -> None:
    """One file of every form."""
    tried: set[tuple[str, str]] = set()
    for model in models:
        for version in model["modelVersions"]:
            for file in version["files"]:
                sort = (model["type"], file["name"].rpartition(".")[2])
                answer = shop.get(file["downloadUrl"].removeprefix(shop.sandbox.url)) if sort not in tried else None
                if answer is None or answer.status_code != 307:
                    continue
                tried.add(sort)
                path = tmp_path / file["name"]
                path.write_bytes(shop.http.get(answer.headers["Location"]).content)
                hashes = hash_file(path)
                told = file["hashes"]
                assert round(file["sizeKB"] * 1024) == hashes.size
                assert (told["SHA256"], told["CRC32"]) == (hashes.sha256.upper(), hashes.crc32)
                assert (told["BLAKE3"], told["AutoV2"]) == (hashes.blake3.upper(), hashes.autov2.upper())
                assert told.get("AutoV3") == (hashes.autov3[:12].upper() if hashes.autov3 else None)
    assert {suffix for _kind, suffix in tried} >= {"safetensors", "zip", "pt", "gguf", "json"}


@pytest.mark.parametrize("form", contents.forms())
def test_its_weights_are_valid_safetensors(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(contents.from_key(contents.key(7, form, "safetensors")) or b"")
    assert read_header(path).tensors


def test_all_answers_decode_without_a_word_in_the_log(
    shop: Bench, models: list[dict[str, Any]], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each complaint is logged once a process: what other tests provoked must not count as said.
    monkeypatch.setattr(lenient, "_told", {})
    caplog.set_level(logging.INFO, logger="hubman.civitai")  # Fields that we do not know are told at DEBUG.
    for raw in models:
        assert model_from(raw).versions
        detail = model_from(shop.get(f"/api/v1/models/{raw['id']}").json()) if raw["id"] % 10 == 0 else None
        assert detail is None or len(detail.versions) == len(raw["modelVersions"])
    hashes = [file["hashes"]["SHA256"] for raw in models[:40] for v in raw["modelVersions"] for file in v["files"]]
    for raw in shop.post("/api/v1/model-versions/by-hash", hashes[:100], key="").json():
        assert lenient.decode(RemoteVersion, raw).files
    assert lenient.decode_list(HashMatch, shop.post("/api/v1/model-versions/by-hash/ids", hashes, key="").json())
    with shop.client("") as client:
        assert client.images(ImageSearch(levels=31, limit=200)).items
        assert client.creators().items
        assert client.tags("water").items
    assert not caplog.records


def test_pictures_are_drawn_in_the_size_asked_for(shop: Bench, models: list[dict[str, Any]]) -> None:
    image = next(
        i for m in models for v in m["modelVersions"] for i in v["images"] if i["type"] == "image" and i["hasMeta"]
    )
    original = shop.http.get(image["url"])
    with Image.open(io.BytesIO(original.content)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (image["width"], image["height"]))
        assert 0x8769 in opened.getexif()
    small = shop.http.get(image["url"].replace("original=true", "width=96,optimized=true"))
    with Image.open(io.BytesIO(small.content)) as opened:
        assert (opened.width, 0x8769 in opened.getexif()) == (96, False)
    assert shop.http.get(image["url"].replace("original=true", "width=96,optimized=true")).content == small.content
    huge = shop.http.get(image["url"].replace("original=true", "width=2200"))
    with Image.open(io.BytesIO(huge.content)) as opened:
        assert opened.width == image["width"]


def test_videos_have_a_poster_and_bytes_of_their_own(shop: Bench, models: list[dict[str, Any]]) -> None:
    first, second = [i["url"] for m in models for v in m["modelVersions"] for i in v["images"] if i["type"] == "video"][
        :2
    ]
    clips = [shop.http.get(url) for url in (first, second)]
    assert [clip.headers["Content-Type"] for clip in clips] == ["video/mp4"] * 2
    assert clips[0].content[4:8] == b"ftyp"
    assert clips[0].content != clips[1].content
    poster = first.replace("original=true", "anim=false,transcode=true,width=450").replace(".mp4", ".jpeg")
    assert shop.http.get(poster).headers["Content-Type"] == "image/jpeg"
    playable = shop.http.get(first.replace("original=true", "transcode=true,width=450"))
    assert playable.headers["Content-Type"] == "video/mp4"


def test_known_hashes_are_found_a_thousand_at_once(tmp_path: Path) -> None:
    hashes = [f"{number:064x}" for number in range(1500)]
    with bench(tmp_path) as site:
        site.sandbox.seed_hashes(hashes[:1200])
        found = site.post("/api/v1/model-versions/by-hash/ids", hashes, key="").json()
        assert {match["hash"] for match in found} == {value.upper() for value in hashes[:1200]}
        lone = site.get(f"/api/v1/model-versions/by-hash/{hashes[7]}").json()
        assert lone["files"][0]["hashes"]["SHA256"] == hashes[7].upper()
        assert site.get(f"/api/download/models/{lone['id']}").status_code == 307
