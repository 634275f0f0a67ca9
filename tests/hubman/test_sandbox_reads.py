"""Every reading route of the sandbox and each of its oddities, as a real client would meet them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.civitai import Bench, bench

_SHARED = "public, s-maxage=300, stale-while-revalidate=150"
_HASH = "public, s-maxage=3600, stale-while-revalidate=1800"
_PRIVATE = "max-age=0, private, no-cache"
_IDS = "?ids=100001,100002,100003"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("shop")) as running:
        running.sandbox.seed_catalogue(140, seed=5)
        yield running


def _json(shop: Bench, path: str, **more: Any) -> Any:
    answer = shop.get(f"/api/v1/{path}", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _models(shop: Bench, query: str = "", **more: Any) -> list[dict[str, Any]]:
    """The models that ``query`` finds; with a limit in it, one page of them."""
    found: list[dict[str, Any]] = []
    path = f"models?nsfw=true&{query}"
    while path:
        page = _json(shop, path, **more)
        found += page["items"]
        following = "" if "limit=" in query else page["metadata"].get("nextPage", "")
        path = following.partition("/api/v1/")[2]
    return found


def _versions(shop: Bench, query: str = "") -> list[dict[str, Any]]:
    return [version for model in _models(shop, query) for version in model["modelVersions"]]


def _store(shop: Bench, kind: str) -> list[dict[str, Any]]:
    return shop.sandbox.world.store.every(kind)


# the list of models: what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 200), ("limit=100", 200), ("limit=101", 400), ("limit=-1", 400), ("limit=x", 400), ("page=0", 400),
        ("page=10&limit=100", 200), ("page=11&limit=100", 429), ("page=2&query=x", 400), ("cursor=10&query=x", 200),
        ("cursor=%00", 400), ("types=LORA&types=LoCon", 200), ("types=LORA,LoCon", 400), ("types=lora", 400),
        ("baseModels=SD+1.5&baseModels=Pony", 200), ("baseModels=SD+9", 400), ("checkpointType=Merge", 200),
        ("checkpointType=merge", 400), ("sort=Most+Downloaded", 200), ("sort=newest", 400), ("sort=Newest&sort=Oldest", 400),
        ("period=Week", 200), ("period=week", 400), ("periodMode=stats", 200), ("periodMode=all", 400), ("ids=1,2", 200),
        ("ids=1,x", 400), ("modelVersionIds=1", 200), ("allowCommercialUse=Image&allowCommercialUse=Sell", 200),
        ("allowCommercialUse=image", 400), ("availability=Public", 200), ("availability=public", 400),
        ("fileFormats=GGUF", 400), ("fileFormats=GGUF&fileFormats=SafeTensor", 200), ("favorites=true", 401),
        ("favorites=", 401), ("hidden=true", 401), ("allowNoCredit=true", 400), ("allowDerivatives=true", 400),
        ("allowDifferentLicense=false", 400), ("browsingLevel=1", 400), ("collectionId=1", 400), ("disablePoi=true", 400),
        ("isFeatured=true", 400), ("pending=true", 400), ("excludedTagIds=1", 400), ("unknown=1", 200),
    ],
)  # fmt: skip
def test_the_list_takes_and_refuses_what_the_site_does(shop: Bench, query: str, status: int) -> None:
    answer = shop.get(f"/api/v1/models?{query}")
    assert answer.status_code == status
    if status == 400 and "page" not in query and "cursor" not in query:
        assert isinstance(answer.json()["error"]["issues"], list)
    if status == 429:
        assert answer.json() == {"error": "You've requested too many pages, please use cursors instead"}


# the list of models: what each parameter does ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("types=LORA&types=DoRA", lambda m: m["type"] in {"LORA", "DoRA"}),
        ("baseModels=Pony&baseModels=SD+1.5", lambda m: {"Pony", "SD 1.5"} & set(m["baseModels"])),
        ("checkpointType=Merge", lambda m: m["type"] == "Checkpoint"),
        ("tag=fantasy", lambda m: "fantasy" in m["tags"]),
        ("tagname=Fantasy", lambda m: "fantasy" in m["tags"]),
        ("username=AquaRelle", lambda m: m["creator"]["username"] == "aquarelle"),
        ("ids=100003,100004", lambda m: m["id"] in {100003, 100004}),
        ("modelVersionIds=1000012", lambda m: m["id"] == 100003),
        ("allowCommercialUse=Sell", lambda m: "Sell" in m["allowCommercialUse"]),
        ("supportsGeneration=false", lambda m: m["supportsGeneration"]),
        ("availability=EarlyAccess", lambda m: any(v["availability"] == "EarlyAccess" for v in m["modelVersions"])),
        ("earlyAccess=false", lambda m: any("earlyAccessDeadline" in v for v in m["modelVersions"])),
        ("query=harbor", lambda m: "harbor" in json.dumps(m).lower()),
    ],
)  # fmt: skip
def test_each_filter_keeps_only_what_fits(shop: Bench, query: str, holds: Any) -> None:
    every, found = _models(shop), _models(shop, query)
    assert found
    assert all(holds(model) for model in found)
    if "query=" not in query and "checkpointType" not in query:
        assert {m["id"] for m in found if not m.get("mode")} >= {m["id"] for m in every if holds(m)}


def test_any_text_counts_as_true_where_the_site_coerces(shop: Bench) -> None:
    archived = _models(shop, "archived=false")
    assert {model.get("mode") for model in archived} == {None, "Archived", "TakenDown"}
    assert not any(model.get("mode") for model in _models(shop, "archived="))
    assert not _models(shop, "followed=false", key="creator")
    assert not _models(shop, "favorites=true", key="creator")
    assert _models(shop, "favorites=false", key="creator")


def test_an_archived_model_has_no_files_and_a_taken_down_one_no_pictures(shop: Bench) -> None:
    by_mode = {model.get("mode"): model for model in _models(shop, "archived=true")}
    archived, gone = by_mode["Archived"]["modelVersions"][0], by_mode["TakenDown"]["modelVersions"][0]
    assert (archived["files"], "downloadUrl" in archived) == ([], False)
    assert (gone["images"], bool(gone["files"])) == ([], True)


def test_file_formats_go_by_the_primary_file(shop: Bench) -> None:
    found = _models(shop, "fileFormats=GGUF&fileFormats=PickleTensor")
    formats = {
        f["metadata"]["format"] for m in found for v in m["modelVersions"] for f in v["files"] if f.get("primary")
    }
    assert {"GGUF", "PickleTensor"} <= formats


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("Most Downloaded", lambda doc: -doc["stats"]["downloadCount"]), ("Most Liked", lambda doc: -doc["stats"]["thumbsUpCount"]),
        ("Most Discussed", lambda doc: -doc["stats"]["commentCount"]), ("Most Collected", lambda doc: -doc["stats"]["collectedCount"]),
        ("Oldest", lambda doc: doc["publishedAt"]),
    ],
)  # fmt: skip
def test_each_order_is_an_order(shop: Bench, sort: str, key: Any) -> None:
    docs = {doc["id"]: doc for doc in _store(shop, "model")}
    values = [key(docs[model["id"]]) for model in _models(shop, f"sort={sort}&limit=50")]
    assert values == sorted(values)
    if sort == "Oldest":
        newest = [docs[model["id"]]["publishedAt"] for model in _models(shop, "sort=Newest&limit=50")]
        assert newest == sorted(newest, reverse=True)


def test_a_period_counts_from_now_by_publication_or_by_what_happened(shop: Bench) -> None:
    docs = {doc["id"]: doc for doc in _store(shop, "model")}
    found = [docs[model["id"]] for model in _models(shop, "period=Month")]
    busy = [docs[model["id"]] for model in _models(shop, "period=Month&periodMode=stats")]
    assert found
    assert all(doc["publishedAt"] >= "2026-08-02" for doc in found)
    assert len(busy) > len(found)
    fresh = {doc["userId"] for doc in docs.values() if doc["publishedAt"] < "2026-08-02"}
    assert all(docs[model["id"]]["userId"] not in fresh for model in _models(shop, "newCreators=true"))
    assert len(_models(shop, "newCreators=false")) > len(_models(shop, "newCreators=true"))


def test_without_nsfw_only_pg_is_shown(shop: Bench) -> None:
    safe = _json(shop, "models?limit=100")["items"]
    assert not any(model["nsfw"] for model in safe)
    assert {image["nsfwLevel"] for m in safe for v in m["modelVersions"] for image in v["images"]} == {1}
    levels = {image["nsfwLevel"] for version in _versions(shop) for image in version["images"]}
    assert levels == {1, 2, 4, 8, 16}


def test_only_the_primary_file_when_asked_and_primary_is_true_or_absent(shop: Bench) -> None:
    every = [file for version in _versions(shop) for file in version["files"]]
    assert {file.get("primary", "absent") for file in every} == {True, "absent"}
    trimmed = _versions(shop, "primaryFileOnly=true")
    assert all([file["primary"] for file in version["files"]] == [True] for version in trimmed)


def test_hidden_counts_are_null_and_commercial_use_may_be_text(shop: Bench) -> None:
    assert any(model["stats"]["downloadCount"] is None for model in _models(shop))
    shop.sandbox.settings.commercial_use_as_text = True
    try:
        assert _models(shop, "ids=100001")[0]["allowCommercialUse"].startswith("{")
    finally:
        shop.sandbox.settings.commercial_use_as_text = False


# pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["limit=40", "limit=40&page=1", "limit=5&query=a"])
def test_pages_followed_to_the_end_give_everything_once(shop: Bench, query: str) -> None:
    seen, url = [], f"/api/v1/models?nsfw=true&{query}"
    while url:
        page = shop.get(url).json()
        seen += [model["id"] for model in page["items"]]
        metadata = page["metadata"]
        assert ("currentPage" in metadata) == ("page=" in url)
        if "query" in query and "nextCursor" in metadata:
            assert metadata["nextCursor"].isdigit()
        elif "nextCursor" in metadata:
            assert not metadata["nextCursor"].isdigit()
        url = metadata.get("nextPage", "").removeprefix(shop.sandbox.url)
    assert len(seen) == len(set(seen))
    if "query" not in query:
        assert len(seen) > 120


@pytest.mark.parametrize("path", ["creators", "tags"])
def test_small_lists_tell_their_totals(shop: Bench, path: str) -> None:
    first = _json(shop, f"{path}?limit=7")
    second = _json(shop, first["metadata"]["nextPage"].partition("/api/v1/")[2])
    totals = second["metadata"]
    assert (totals["currentPage"], totals["pageSize"], len(second["items"])) == (2, 7, 7)
    assert totals["totalPages"] == -(-totals["totalItems"] // 7)
    assert "page=1" in totals["prevPage"]
    assert "prevPage" not in first["metadata"]
    assert len(_json(shop, path)["items"]) == 20
    assert all("link" in item for item in second["items"])


def test_creators_and_tags_are_found_by_a_part_of_their_name(shop: Bench) -> None:
    (creator, *_rest) = _json(shop, "creators?query=aquarel")["items"]
    assert creator["modelCount"] == len(_models(shop, f"username={creator['username']}"))
    assert [tag["name"] for tag in _json(shop, "tags?query=water")["items"]] == ["water", "watercolor"]


# one model, one version ---------------------------------------------------------------------------------------------


def test_a_model_s_page_drops_what_is_null_or_empty(shop: Bench) -> None:
    details = [_json(shop, f"models/{model['id']}") for model in _models(shop, "limit=30")]
    versions = [version for model in details for version in model["modelVersions"]]
    assert not any(value is None or value == [] for version in versions for value in version.values())
    assert {"trainedWords" in version for version in versions} == {True, False}
    assert all("id" not in image for version in versions for image in version.get("images", []))
    assert all({"createdAt", "status", "covered"} <= set(version) for version in versions)
    assert [version["index"] for version in details[0]["modelVersions"]] == list(
        range(len(details[0]["modelVersions"]))
    )


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("models/7", 404, "No model with id 7"), ("model-versions/7", 404, "Model not found"),
        ("model-versions/mini/7", 404, "Model not found"), ("model-versions/by-hash/" + "0" * 64, 404, "Model not found"),
        ("models/x", 400, ""), ("models/2147483648", 400, ""), ("model-files/7/tensor-metadata", 404, "File not found"),
        ("collections/7", 404, "No collection with id 7"), ("users", 400, ""), ("permissions/check", 400, ""),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_so(shop: Bench, path: str, status: int, error: str) -> None:
    answer = shop.get(f"/api/v1/{path}")
    assert answer.status_code == status
    assert not error or answer.json() == {"error": error}


def test_a_lone_version_always_says_which_file_is_primary(shop: Bench) -> None:
    version = _versions(shop, "types=Checkpoint&sort=Oldest")[0]
    lone = _json(shop, f"model-versions/{version['id']}")
    assert {type(file["primary"]) for file in lone["files"]} == {bool}
    assert sum(file["primary"] for file in lone["files"]) == 1
    assert lone["air"].endswith(f":checkpoint:civitai:{lone['modelId']}@{lone['id']}")
    assert {"meta", "metadata", "availability"} <= set(lone["images"][0])
    mini = _json(shop, f"model-versions/mini/{version['id']}")
    assert (mini["air"], mini["fileName"]) == (lone["air"], next(f["name"] for f in lone["files"] if f["primary"]))
    other = lone["files"][-1]
    assert _json(shop, f"model-versions/mini/{version['id']}?modelFileId={other['id']}")["fileName"] == other["name"]


def test_a_version_without_a_public_file_is_a_missing_file(shop: Bench) -> None:
    store, version = shop.sandbox.world.store, _versions(shop, "types=VAE")[0]
    files = store.children("file", version["id"])
    for file in files:
        store.put("file", {**file, "visibility": "Private"})
    try:
        answer = shop.get(f"/api/v1/model-versions/{version['id']}")
        assert (answer.status_code, answer.json()) == (404, {"error": "Missing model file"})
        assert version["id"] not in {v["id"] for v in _versions(shop, "types=VAE")}
    finally:
        for file in files:
            store.put("file", file)


# hashes --------------------------------------------------------------------------------------------------------------


def test_of_several_versions_with_one_hash_the_earliest_published_wins(shop: Bench) -> None:
    store = shop.sandbox.world.store
    first, second = _versions(shop, "types=Upscaler&sort=Oldest")[:1] + _versions(shop, "types=LORA&sort=Newest")[:1]
    file = store.children("file", second["id"])[0]
    value = first["files"][0]["hashes"]["SHA256"]
    store.put("file", {**file, "hashes": {**file["hashes"], "SHA256": value}})
    try:
        assert first["publishedAt"] < second["publishedAt"]
        assert _json(shop, f"model-versions/by-hash/{value.lower()}")["id"] == first["id"]
    finally:
        store.put("file", file)


def test_a_batch_answers_each_version_once_by_number_with_a_host_that_is_none(shop: Bench) -> None:
    versions = _versions(shop, "types=LORA&limit=20&sort=Newest")
    hashes = [version["files"][0]["hashes"]["SHA256"] for version in versions]
    answer = shop.post("/api/v1/model-versions/by-hash", [*hashes, hashes[0], "0" * 64], key="")
    numbers = [version["id"] for version in answer.json()]
    assert numbers == sorted({version["id"] for version in versions})
    assert numbers != [version["id"] for version in versions]
    assert not answer.json()[0]["downloadUrl"].startswith(shop.sandbox.url)
    assert answer.headers["Cache-Control"] == _SHARED


def test_a_batch_holds_null_for_what_is_no_longer_public(shop: Bench) -> None:
    store = shop.sandbox.world.store
    gone = next(doc for doc in _store(shop, "model") if doc["status"] == "Unpublished" and doc["id"] < 900_000)
    version = store.children("version", gone["id"])[0]
    value = store.children("file", version["id"])[0]["hashes"]["SHA256"]
    assert shop.post("/api/v1/model-versions/by-hash", [value], key="").json() == [None]
    assert shop.post("/api/v1/model-versions/by-hash/ids", [value], key="").json() == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("by-hash", ["0" * 64] * 100, 200), ("by-hash", ["0" * 64] * 101, 400), ("by-hash", ["0" * 10], 400),
        ("by-hash", {"hashes": []}, 400), ("by-hash/ids", ["0" * 64] * 10_000, 200), ("by-hash/ids", ["0" * 64] * 10_001, 400),
    ],
)  # fmt: skip
def test_batches_have_their_limits(shop: Bench, path: str, body: Any, status: int) -> None:
    assert shop.post(f"/api/v1/model-versions/{path}", body, key="").status_code == status


# images ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "levels"),
    [
        ("", {1}), ("nsfw=false", {1}), ("nsfw=true", {4, 8, 16}), ("nsfw=None", {1}), ("nsfw=Soft", {1, 2}),
        ("nsfw=Mature", {1, 2, 4}), ("nsfw=X", {1, 2, 4, 8, 16}), ("browsingLevel=2", {2}), ("nsfw=None&browsingLevel=24", {8, 16}),
    ],
)  # fmt: skip
def test_levels_of_images_are_asked_for_in_three_ways(shop: Bench, query: str, levels: set[int]) -> None:
    items = _json(shop, f"images?limit=200&{query}")["items"]
    assert {item["browsingLevel"] for item in items} == levels
    names = {1: "None", 2: "Soft", 4: "Mature", 8: "X", 16: "X"}
    assert all(item["nsfwLevel"] == names[item["browsingLevel"]] for item in items)
    assert all(item["nsfw"] == (item["browsingLevel"] > 3) for item in items)


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("type=video", lambda i: i["type"] == "video"), ("baseModels=Pony,SD+1.5", lambda i: i["baseModel"] in {"Pony", "SD 1.5"}),
        ("modelVersionId=1000004", lambda i: i["modelVersionIds"] == [1000004]), ("postId=3000008", lambda i: i["postId"] == 3000008),
        ("imageId=4000064", lambda i: i["id"] == 4000064), ("username=aquarelle", lambda i: i["username"] == "aquarelle"),
        ("userId=60000", lambda i: i["username"] == "aquarelle"), ("requiringMeta=true&withMeta=true", lambda i: i["meta"]),
        ("modelId=100001", lambda i: i["modelVersionIds"][0] in range(1000004, 1000008)),
        ("period=Year", lambda i: i["createdAt"] > "2025-09"),
    ],
)  # fmt: skip
def test_images_are_found_by_what_they_belong_to(shop: Bench, query: str, holds: Any) -> None:
    items = _json(shop, f"images?limit=200&nsfw=X&{query}")["items"]
    assert items
    assert all(holds(item) for item in items)


@pytest.mark.parametrize(
    ("query", "wrapped"),
    [
        ("modelId=100001&withMeta=true", True), ("imageId=4000064&withMeta=true", True),
        ("modelId=100001&withMeta=true&flatMeta=true", False),
        ("modelVersionId=1000004&withMeta=true", False), ("modelId=100001&modelVersionId=1000004&withMeta=true", False),
    ],
)  # fmt: skip
def test_generation_data_of_one_image_or_model_come_wrapped(shop: Bench, query: str, wrapped: bool) -> None:
    items = _json(shop, f"images?nsfw=X&{query}")["items"]
    metas = [item["meta"] for item in items if item["meta"]]
    assert metas
    assert all((set(meta) == {"id", "meta"}) == wrapped for meta in metas)
    assert not any(item["meta"] for item in _json(shop, f"images?nsfw=X&{query.replace('withMeta=true', '')}")["items"])


def test_images_of_a_whole_model_are_not_sorted_by_reactions(shop: Bench) -> None:
    def likes(query: str) -> list[int]:
        stats = {doc["id"]: doc["stats"] for doc in _store(shop, "image")}
        items = _json(shop, f"images?nsfw=X&limit=200&{query}")["items"]
        hidden = {"commentCount", "collectedCount"}
        return [sum(v for k, v in stats[item["id"]].items() if k not in hidden) for item in items]

    assert likes("") == sorted(likes(""), reverse=True)
    busiest = max(_models(shop), key=lambda model: len(model["modelVersions"]))
    assert likes(f"modelId={busiest['id']}") != sorted(likes(f"modelId={busiest['id']}"), reverse=True)


def test_tags_of_images_are_asked_for_by_number(shop: Bench) -> None:
    item = _json(shop, "images?limit=1&withTags=true")["items"][0]
    tag = item["tags"][0]
    found = _json(shop, f"images?limit=200&withTags=true&tags={tag['id']}")["items"]
    assert item["id"] in {other["id"] for other in found}
    assert all(tag in other["tags"] for other in found)
    assert "tags" not in _json(shop, "images?limit=1")["items"][0]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=201", 400), ("limit=200", 200), ("limit=200&page=6", 429), ("nsfw=maybe", 400), ("sort=Best", 400),
        ("type=painting", 400), ("modelId=x", 400), ("baseModels=SD+9", 400), ("tags=a", 400), ("sort=Random", 200),
    ],
)  # fmt: skip
def test_images_refuse_what_the_site_refuses(shop: Bench, query: str, status: int) -> None:
    assert shop.get(f"/api/v1/images?{query}").status_code == status


def test_pages_of_images_are_followed_by_cursor(shop: Bench) -> None:
    seen, url = [], "/api/v1/images?limit=150&nsfw=X&sort=Newest"
    while url:
        page = shop.get(url).json()
        seen += [item["id"] for item in page["items"]]
        url = page["metadata"].get("nextPage", "").removeprefix(shop.sandbox.url)
    assert len(seen) == len(set(seen)) > 150


# the rest ----------------------------------------------------------------------------------------------------------------


def test_what_needs_a_key_says_so_and_a_guest_has_no_vault(shop: Bench) -> None:
    paths = ("vault/get", "vault/all", "vault/check-vault?modelVersionIds=1", "me")
    assert [shop.get(f"/api/v1/{path}").status_code for path in paths] == [401] * 4
    assert _json(shop, "vault/get", key="creator") == {"vault": None}
    assert _json(shop, "vault/all", key="creator")["items"] == []
    check = _json(shop, "vault/check-vault?modelVersionIds=5,6", key="creator")
    assert check == [{"modelVersionId": 5, "vaultItem": None}, {"modelVersionId": 6, "vaultItem": None}]


def test_users_permissions_and_collections_answer(shop: Bench) -> None:
    assert _json(shop, "users?ids=60000")["items"] == [{"id": 60000, "username": "aquarelle"}]
    assert {"id": 42, "username": "creator"} in _json(shop, "users?query=creat")["items"]
    version = _versions(shop, "supportsGeneration=true&sort=Oldest")[0]
    told = _json(shop, f"permissions/check?entityIds={version['id']},7&permission=Generate")
    assert told == {str(version["id"]): True, "7": False}
    collection = _json(shop, "collections/60001")
    assert (collection["name"], len(collection["items"])) == ("Ancient picks", 20)
    assert len(_json(shop, "collections")["items"]) == 5


def test_collections_are_limited_by_the_minute(shop: Bench) -> None:
    shop.clock.sleep(60)
    answers = [shop.get("/api/v1/collections/7").status_code for _ in range(61)]
    assert answers == [404] * 60 + [429]
    assert shop.get("/api/v1/collections/7", key="creator").status_code == 404


def test_a_file_s_header_is_told_and_only_of_safetensors(shop: Bench) -> None:
    files = {f["name"].rpartition(".")[2]: f["id"] for v in _versions(shop) for f in v["files"]}
    whole = _json(shop, f"model-files/{files['safetensors']}/tensor-metadata")
    summary = _json(shop, f"model-files/{files['safetensors']}/tensor-metadata?summaryOnly=true")
    assert (whole["tensorCount"], "tensors" in summary) == (len(whole["tensors"]), False)
    assert shop.get(f"/api/v1/model-files/{files['zip']}/tensor-metadata").status_code == 422


@pytest.mark.parametrize(
    ("path", "key", "caching"),
    [
        ("models?limit=1", "", _SHARED), ("models?limit=1", "creator", _PRIVATE), ("models/100001", "creator", _SHARED),
        ("models/7", "", _SHARED), ("model-versions/1000004", "", _SHARED), ("model-versions/7", "creator", _PRIVATE),
        ("model-versions/by-hash/" + "0" * 64, "", _HASH), ("images?limit=1", "", _SHARED), ("creators", "", _SHARED),
        ("tags", "", _SHARED), ("me", "creator", _PRIVATE), ("enums", "", _PRIVATE),
    ],
)  # fmt: skip
def test_answers_and_misses_say_how_long_they_may_be_kept(shop: Bench, path: str, key: str, caching: str) -> None:
    answer = shop.get(f"/api/v1/{path}", key=key)
    assert answer.headers["Cache-Control"] == caching
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


# downloads ---------------------------------------------------------------------------------------------------------------


def test_every_reason_against_a_download_occurs_in_the_catalogue(shop: Bench) -> None:
    def asked(version: int, key: str = "") -> tuple[int, str, str]:
        answer = shop.get(f"/api/download/models/{version}", key=key)
        assert answer.headers["Cache-Control"] == "no-store"
        body = answer.json() if answer.status_code != 307 else {}
        return answer.status_code, body.get("error", ""), body.get("message", "")

    found = {asked(version["id"]) for version in _store(shop, "version")}
    errors = {(status, error) for status, error, _message in found}
    assert errors == {
        (307, ""), (401, "Unauthorized"), (403, "Early Access"), (403, "Forbidden"),
        (403, "You do not have access to download this file"), (404, "File not found"),
        (410, "Model archived, not available for download"),
    }  # fmt: skip
    messages = {message for status, _error, message in found if status == 401}
    assert messages == {
        "The creator of this asset requires you to be logged in to download it",
        "The creator of this asset has disabled downloads on this file",
    }
    locked = next(doc for doc in _store(shop, "version") if doc["requireAuth"] and doc["usageControl"] == "Download")
    assert asked(locked["id"], "creator")[0] == 307
    closed = next(doc for doc in _store(shop, "version") if doc["usageControl"] == "Generation")
    assert asked(closed["id"], "creator")[0] == 401


def test_the_file_that_fits_best_is_chosen_and_contradictions_are_not_found(shop: Bench) -> None:
    version = max(_versions(shop, "types=Checkpoint"), key=lambda version: len(version["files"]))

    def name(query: str) -> str:
        answer = shop.get(f"/api/download/models/{version['id']}{query}")
        return (
            httpx.URL(answer.headers["Location"]).params["name"]
            if answer.status_code == 307
            else str(answer.status_code)
        )

    by_name = {file["name"]: file for file in version["files"]}
    assert name("") == next(file["name"] for file in version["files"] if file.get("primary"))
    assert by_name[name("?fp=fp32&size=full")]["metadata"]["fp"] == "fp32"
    assert by_name[name("?format=PickleTensor")]["metadata"]["format"] == "PickleTensor"
    assert name("?format=GGUF") == "404"
    assert name("?type=Negative") == "404"
    assert name("?type=nonsense") == "400"
    assert name("?fileId=x") == "400"
    last = version["files"][-1]
    assert name(f"?fileId={last['id']}&format=GGUF") == last["name"]


def test_too_many_downloads_are_refused_without_a_time_to_wait(shop: Bench) -> None:
    shop.sandbox.settings.downloads_per_user = 0
    try:
        version = _versions(shop, "types=Upscaler")[0]
        answer = shop.get(f"/api/download/models/{version['id']}", key="other")
        assert (answer.status_code, "Retry-After" in answer.headers) == (429, False)
        assert answer.json()["error"].startswith("We've noticed an unusual amount of downloading")
    finally:
        shop.sandbox.settings.downloads_per_user = None


def test_the_storage_host_resumes_only_the_same_file(shop: Bench) -> None:
    version = _versions(shop, "types=LORA")[0]
    location = shop.get(f"/api/download/models/{version['id']}").headers["Location"]
    whole = shop.http.get(location)
    length, etag = len(whole.content), whole.headers["ETag"]
    assert whole.headers["Accept-Ranges"] == "bytes"

    def part(ask: str, **more: str) -> tuple[int, bytes, str]:
        answer = shop.http.get(location, headers={"Range": ask, **more})
        return answer.status_code, answer.content, answer.headers.get("Content-Range", "")

    assert part("bytes=5-9") == (206, whole.content[5:10], f"bytes 5-9/{length}")
    assert part("bytes=-3") == (206, whole.content[-3:], f"bytes {length - 3}-{length - 1}/{length}")
    assert part(f"bytes={length - 2}-") == (206, whole.content[-2:], f"bytes {length - 2}-{length - 1}/{length}")
    assert part("bytes=5-9", **{"If-Range": etag})[0] == 206
    assert part("bytes=5-9", **{"If-Range": '"other"'}) == (200, whole.content, "")
    assert part(f"bytes={length}-") == (416, b"", f"bytes */{length}")
    assert part("bytes=1-2,4-5")[0] == 200
    assert part("lines=1-2")[0] == 200


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 60), last=st.one_of(st.none(), st.integers(0, 60)))
def test_any_range_brings_what_a_slice_would(shop: Bench, first: int, last: int | None) -> None:
    location, body = _small_file(shop)
    answer = shop.http.get(location, headers={"Range": f"bytes={first}-{'' if last is None else last}"})
    if last is not None and last < first:
        assert (answer.status_code, answer.content) == (200, body)
    else:
        assert (answer.status_code, answer.content) == (206, body[first : None if last is None else last + 1])


def _small_file(shop: Bench) -> tuple[str, bytes]:
    version = _versions(shop, "types=Workflows&limit=1")[0]
    location = shop.get(f"/api/download/models/{version['id']}").headers["Location"]
    return location, shop.http.get(location).content


def test_training_data_has_a_door_of_its_own(shop: Bench) -> None:
    public = [
        file for file in _store(shop, "file") if file["type"] == "Training Data" and file["visibility"] == "Public"
    ]
    answers = [shop.get(f"/api/download/training-data/{file['modelVersionId']}") for file in public]
    names = {httpx.URL(answer.headers["Location"]).params["name"] for answer in answers if answer.status_code == 307}
    assert names
    assert names <= {file["name"] for file in public}
    without = {file["modelVersionId"] for file in _store(shop, "file")} - {file["modelVersionId"] for file in public}
    assert shop.get(f"/api/download/training-data/{min(without)}").status_code == 404


def test_another_method_is_refused_in_json(shop: Bench) -> None:
    answer = shop.post("/api/v1/me", {})
    assert (answer.status_code, answer.json()) == (405, {"error": "Method not allowed"})


def test_a_signed_address_lives_its_time(shop: Bench) -> None:
    version = _versions(shop, "types=LORA")[0]
    shop.sandbox.settings.signature_seconds = 30
    try:
        location = shop.get(f"/api/download/models/{version['id']}").headers["Location"]
    finally:
        shop.sandbox.settings.signature_seconds = 12 * 3600
    assert shop.http.get(location).status_code == 200
    shop.clock.sleep(31)
    assert shop.http.get(location).status_code == 403
    assert shop.http.get(location.replace("Signature=", "Signature=0")).status_code == 403
