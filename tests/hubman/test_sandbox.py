"""The sandbox refuses and answers as the real site does."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from hubman.sandbox import Fault, Sandbox, Settings, seed_model
from tests.support.civitai import Bench, bench, write_lora, write_png
from tests.support.videos import write_video

_HTTP = httpx.Client()
_DRAFT = {"name": "Harbor", "type": "LORA", "uploadType": "Created", "status": "Draft"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """For tests that only ask, or don't care what others made."""
    with bench(tmp_path_factory.mktemp("shared")) as running:
        yield running


def _error(response: httpx.Response) -> tuple[int, str, str]:
    body = response.json()["error"]["json"]
    return response.status_code, body["data"]["code"], body["message"]


def _upsert(site: Bench, key: str = "creator", **fields: Any) -> httpx.Response:
    return site.post("/api/trpc/model.upsert", {"json": {**_DRAFT, **fields}}, key=key)


@pytest.mark.parametrize(
    ("key", "status", "code", "message"),
    [
        ("", 401, "UNAUTHORIZED", "Please use the public API instead: https://developer.civitai.com/"),
        ("banned", 401, "UNAUTHORIZED", "Please use the public API instead: https://developer.civitai.com/"),
        ("read-only", 403, "FORBIDDEN", "Your API key does not have the required scope for this action"),
        ("new", 403, "FORBIDDEN", "You must complete the onboarding process before performing this action"),
        ("muted", 403, "FORBIDDEN", "You cannot perform this action because your account has been restricted"),
    ],
)
def test_each_gate_refuses_with_its_own_words(shared: Bench, key: str, status: int, code: str, message: str) -> None:
    assert _error(_upsert(shared, key)) == (status, code, message)


def test_a_key_in_the_query_is_as_good_as_one_in_the_header(shared: Bench) -> None:
    path = f"/api/trpc/model.upsert?token={shared.sandbox.token('creator')}"
    assert shared.post(path, {"json": _DRAFT}, key="").status_code == 200


def test_a_mutation_wants_post_and_json(shared: Bench) -> None:
    assert _error(shared.get("/api/trpc/model.upsert", key="creator"))[:2] == (405, "METHOD_NOT_SUPPORTED")
    header = {"Authorization": f"Bearer {shared.sandbox.token('creator')}"}
    plain = _HTTP.post(f"{shared.sandbox.url}/api/trpc/model.upsert", content=b"{}", headers=header)
    assert _error(plain)[:2] == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_an_unknown_procedure_is_not_found(shared: Bench) -> None:
    assert _error(shared.post("/api/trpc/model.steal", {"json": {}}))[:2] == (404, "NOT_FOUND")


def test_input_without_an_envelope_reads_as_undefined(shared: Bench) -> None:
    status, _code, message = _error(shared.post("/api/trpc/model.upsert", _DRAFT))
    assert status == 400
    assert json.loads(message)[0]["message"] == "Invalid input: expected object, received undefined"


def test_schema_failures_list_every_issue_with_its_path(shared: Bench) -> None:
    _status, code, message = _error(shared.post("/api/trpc/model.upsert", {"json": {"name": 5, "type": "LORAX"}}))
    paths = {tuple(issue["path"]) for issue in json.loads(message)}
    assert code == "BAD_REQUEST"
    assert paths == {("name",), ("type",), ("uploadType",), ("status",)}


def test_a_date_counts_only_when_marked_as_one(shared: Bench) -> None:
    model = _upsert(shared).json()["result"]["data"]["json"]["id"]
    bare = {"json": {"id": model, "versionIds": [], "publishedAt": "2026-08-08T12:00:00.000Z"}}
    _status, code, message = _error(shared.post("/api/trpc/model.publish", bare))
    assert (code, json.loads(message)[0]["expected"]) == ("BAD_REQUEST", "date")
    marked = {**bare, "meta": {"values": {"publishedAt": ["Date"]}}}
    assert shared.post("/api/trpc/model.publish", marked).status_code == 200


def test_a_fraction_passes_the_schema_and_fails_in_the_database(shared: Bench) -> None:
    assert _error(_upsert(shared, id=1.5))[::2] == (500, "Database validation error")


def test_unknown_keys_are_dropped_except_inside_meta(site: Bench) -> None:
    _upsert(site, nonsense=1, meta={"kept": True})
    model = site.sandbox.models_named("Harbor")[0]
    assert "nonsense" not in model
    assert model["meta"] == {"kept": True}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nsfw": True, "poi": True}, "Mature content depicting actual people is not permitted."),
        ({"nsfw": True, "minor": True}, "Mature content depicting minors is not permitted."),
        ({"nsfw": True, "sfwOnly": True}, "Mature content on a model marked as SFW is not permitted."),
        ({"availability": "Private"}, "Private models must be set to SFW only."),
    ],
)
def test_content_rules_answer_with_a_sentence(shared: Bench, fields: dict[str, Any], message: str) -> None:
    assert _error(_upsert(shared, **fields)) == (400, "BAD_REQUEST", message)


def test_a_model_has_one_category(shared: Bench) -> None:
    assert _error(_upsert(shared, tagsOnModels=[{"name": "style"}, {"name": "Character "}]))[0] == 400
    assert _upsert(shared, tagsOnModels=[{"name": "style"}, {"name": "ink"}]).status_code == 200


def test_a_stranger_s_model_reads_as_unauthorized_not_forbidden(shared: Bench) -> None:
    model = _upsert(shared).json()["result"]["data"]["json"]["id"]
    body = {"json": {"modelId": model, "name": "v1", "baseModel": "SD 1.5"}}
    assert _error(shared.post("/api/trpc/modelVersion.upsert", body, key="other"))[:2] == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("base", ["SDXL Turbo", "SD 9"])
def test_deprecated_and_unknown_base_models_are_refused(shared: Bench, base: str) -> None:
    model = _upsert(shared).json()["result"]["data"]["json"]["id"]
    body = {"json": {"modelId": model, "name": "v1", "baseModel": base}}
    assert _error(shared.post("/api/trpc/modelVersion.upsert", body))[0] == 400


def test_posts_are_limited_by_the_day(site: Bench) -> None:
    answers = [site.post("/api/trpc/post.create", {"json": {"title": "x"}}).status_code for _ in range(21)]
    assert answers == [200] * 20 + [429]
    fresh = [site.post("/api/trpc/post.create", {"json": {}}, key="fresh") for _ in range(3)]
    assert _error(fresh[2])[2] == "New accounts have a lower hourly posting limit on their first day."


def test_devalue_answers_are_strings(tmp_path: Path) -> None:
    with bench(tmp_path, devalue=True) as site:
        assert isinstance(_upsert(site).json()["result"]["data"], str)
        assert isinstance(_upsert(site, name=3).json()["error"], str)


def test_a_part_is_refused_with_a_key_or_after_its_time(site: Bench) -> None:
    start = site.post("/api/upload", {"filename": "a.safetensors", "type": "model", "size": 10}).json()
    url = start["urls"][0]["url"]
    assert _HTTP.put(url, content=b"0123456789", headers={"Authorization": "Bearer x"}).status_code == 400
    done = _HTTP.put(url, content=b"0123456789")
    assert done.headers["ETag"] == f'"{hashlib.md5(b"0123456789", usedforsecurity=False).hexdigest()}"'
    assert _HTTP.put(url.replace("partNumber=1", "partNumber=2"), content=b"0").status_code == 403
    site.clock.sleep(13 * 3600)
    assert _HTTP.put(url, content=b"0123456789").status_code == 403


def test_finishing_an_upload_checks_its_parts(shared: Bench) -> None:
    start = shared.post("/api/upload", {"filename": "a.safetensors", "type": "model", "size": 3}).json()
    etag = _HTTP.put(start["urls"][0]["url"], content=b"abc").headers["ETag"]
    body = {key: start[key] for key in ("bucket", "key", "uploadId", "backend")} | {"type": "model"}
    wrong = shared.post("/api/upload/complete", {**body, "parts": [{"ETag": '"no"', "PartNumber": 1}]})
    right = shared.post("/api/upload/complete", {**body, "parts": [{"ETag": etag, "PartNumber": 1}]})
    again = shared.post("/api/upload/complete", {**body, "parts": [{"ETag": etag, "PartNumber": 1}]})
    unknown = shared.post("/api/upload/complete", {**body, "uploadId": "x", "parts": [{"ETag": etag, "PartNumber": 1}]})
    assert [wrong.status_code, right.status_code, again.status_code, unknown.status_code] == [422, 200, 200, 409]
    assert again.json() is None


def test_only_the_uploader_may_have_a_part_signed(shared: Bench) -> None:
    start = shared.post("/api/upload", {"filename": "a.safetensors", "type": "model", "size": 3}).json()
    body = {key: start[key] for key in ("bucket", "key", "uploadId", "backend")} | {"partNumber": 1}
    assert shared.post("/api/upload/sign-part", body).status_code == 200
    assert shared.post("/api/upload/sign-part", body, key="other").status_code == 403
    assert shared.post("/api/upload/sign-part", {**body, "partNumber": 0}).status_code == 400


def test_programs_may_not_be_uploaded(shared: Bench) -> None:
    response = shared.post("/api/upload", {"filename": "virus.exe", "type": "model", "size": 3})
    assert (response.status_code, response.json()) == (400, {"error": "File type not allowed"})


def test_drafts_are_invisible_to_rest_and_visible_to_their_owner(shared: Bench) -> None:
    model = _upsert(shared).json()["result"]["data"]["json"]["id"]
    assert shared.get(f"/api/v1/models/{model}", key="creator").status_code == 404
    envelope = json.dumps({"json": {"id": model}})
    assert shared.get(f"/api/trpc/model.getById?input={envelope}", key="creator").status_code == 200
    assert shared.get(f"/api/trpc/model.getById?input={envelope}", key="other").status_code == 404


def test_an_image_needs_its_bytes_and_repeats_harmlessly(shared: Bench) -> None:
    post = shared.post("/api/trpc/post.create", {"json": {}}).json()["result"]["data"]["json"]["id"]
    slot = shared.post("/api/v1/image-upload", {}).json()
    body = {"json": {"postId": post, "url": slot["id"], "index": 0}}
    assert shared.post("/api/trpc/post.addImage", body).status_code == 400
    _HTTP.put(slot["uploadURL"], content=b"bytes", headers={"Content-Type": "image/png"})
    first, second = (shared.post("/api/trpc/post.addImage", body).json()["result"]["data"]["json"] for _ in range(2))
    assert first["id"] == second["id"]
    full_url = {"json": {"postId": post, "url": slot["uploadURL"], "index": 0}}
    assert shared.post("/api/trpc/post.addImage", full_url).status_code == 400


def test_files_are_scanned_when_their_time_has_come(tmp_path: Path) -> None:
    with bench(tmp_path, scan_delay=60.0) as site:
        seeded = seed_model(site.sandbox, write_lora(tmp_path / "a.safetensors"), name="Harbor")
        path = f"/api/v1/model-versions/{seeded.version_id}"
        assert site.get(path).json()["files"][0]["hashes"] == {}
        site.clock.sleep(61)
        hashes = site.get(path).json()["files"][0]["hashes"]
        assert hashes["SHA256"] == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest().upper()
        assert {kind: len(value) for kind, value in hashes.items()} == {
            "SHA256": 64, "BLAKE3": 64, "AutoV2": 10, "AutoV3": 12, "CRC32": 8,
        }  # fmt: skip


def test_an_infected_file_is_marked_dangerous(site: Bench, tmp_path: Path) -> None:
    seeded = seed_model(site.sandbox, write_lora(tmp_path / "infected.safetensors"), name="Bad")
    files = site.get(f"/api/v1/model-versions/{seeded.version_id}").json()["files"]
    assert files[0]["virusScanResult"] == "Danger"


def test_every_kind_of_hash_finds_the_version(site: Bench, tmp_path: Path) -> None:
    file = write_lora(tmp_path / "a.safetensors", size=3_000_000)
    seeded = seed_model(site.sandbox, file, name="Harbor")
    hashes = site.get(f"/api/v1/model-versions/{seeded.version_id}").json()["files"][0]["hashes"]
    assert set(hashes) == {"AutoV1", "AutoV2", "AutoV3", "SHA256", "CRC32", "BLAKE3"}
    for value in hashes.values():
        assert site.get(f"/api/v1/model-versions/by-hash/{value.lower()}").json()["id"] == seeded.version_id
    ids = site.post("/api/v1/model-versions/by-hash/ids", [hashes["SHA256"], "0" * 64], key="").json()
    assert ids == [{"modelVersionId": seeded.version_id, "modelId": seeded.model_id, "hash": hashes["SHA256"]}]
    assert site.post("/api/v1/model-versions/by-hash/ids", ["short"], key="").status_code == 400


def test_a_model_s_page_leaves_out_what_is_empty(site: Bench, tmp_path: Path) -> None:
    seeded = seed_model(site.sandbox, write_lora(tmp_path / "a.safetensors"), name="Harbor")
    version = site.get(f"/api/v1/models/{seeded.model_id}").json()["modelVersions"][0]
    assert not {"trainedWords", "images", "description", "vaeId"} & set(version)
    listed = site.get("/api/v1/models").json()["items"][0]["modelVersions"][0]
    assert (listed["trainedWords"], listed["images"]) == ([], [])


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("types=LORA&types=LoCon", 200), ("types=LORA,LoCon", 400), ("limit=101", 400), ("sort=Newest", 200),
        ("sort=newest", 400), ("allowDerivatives=true", 400), ("page=2&query=x", 400), ("page=11&limit=100", 429),
        ("fileFormats=GGUF", 400), ("favorites=true", 401), ("cursor=%00", 400),
    ],
)  # fmt: skip
def test_the_model_list_takes_only_the_real_parameters(shared: Bench, query: str, status: int) -> None:
    assert shared.get(f"/api/v1/models?{query}").status_code == status


def test_pages_may_be_empty_before_the_last(site: Bench, tmp_path: Path) -> None:
    file = write_lora(tmp_path / "a.safetensors")
    for number in range(5):
        seed_model(site.sandbox, file, name=f"Model {number}", model_fields={"nsfw": number not in {0, 4}})
    sizes, url = [], "/api/v1/models?limit=1&nsfw=false"
    while url:
        page = site.get(url).json()
        sizes.append(len(page["items"]))
        url = page["metadata"].get("nextPage", "").removeprefix(site.sandbox.url)
    assert sizes == [1, 0, 0, 0, 1]


def test_a_download_leads_to_another_host_that_refuses_keys(site: Bench, tmp_path: Path) -> None:
    file = write_lora(tmp_path / "a.safetensors")
    seeded = seed_model(site.sandbox, file, name="Harbor")
    redirect = site.get(f"/api/download/models/{seeded.version_id}")
    location = redirect.headers["Location"]
    assert redirect.status_code == 307
    assert not location.startswith(site.sandbox.url)
    assert _HTTP.get(location, headers={"Authorization": "Bearer x"}).status_code == 400
    part = _HTTP.get(location, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, file.read_bytes()[10:20])


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"requireAuth": True}, 401, "Unauthorized"),
        ({"earlyAccessUntil": "2027-01-01T00:00:00Z"}, 403, "Early Access"),
        ({"downloadsDisabled": True}, 401, "Unauthorized"),
        ({"status": "Unpublished"}, 404, "File not found"),
    ],
)
def test_downloads_are_refused_for_their_reasons(
    site: Bench, tmp_path: Path, fields: dict[str, Any], status: int, error: str
) -> None:
    seeded = seed_model(site.sandbox, write_lora(tmp_path / "a.safetensors"), name="Harbor")
    store = site.sandbox.world.store
    store.put("version", {**(store.get("version", seeded.version_id) or {}), **fields})
    response = site.get(f"/api/download/models/{seeded.version_id}")
    assert (response.status_code, response.json()["error"]) == (status, error)
    browser = site.get(f"/api/download/models/{seeded.version_id}", **{"User-Agent": "Mozilla/5.0"})
    if fields == {"requireAuth": True}:
        assert (browser.status_code, browser.headers["Location"].partition("?")[0]) == (307, "/login")
    else:
        assert browser.headers["Content-Type"].startswith("text/plain")


def test_an_archived_model_can_not_be_downloaded(site: Bench, tmp_path: Path) -> None:
    seeded = seed_model(site.sandbox, write_lora(tmp_path / "a.safetensors"), name="Harbor")
    store = site.sandbox.world.store
    store.put("model", {**(store.get("model", seeded.model_id) or {}), "mode": "Archived"})
    assert site.get(f"/api/download/models/{seeded.version_id}").status_code == 410


def test_a_file_that_contradicts_the_wish_is_not_found(site: Bench, tmp_path: Path) -> None:
    seeded = seed_model(site.sandbox, write_lora(tmp_path / "a.safetensors"), name="Harbor")
    path = f"/api/download/models/{seeded.version_id}"
    assert site.get(f"{path}?format=GGUF").status_code == 404
    assert site.get(f"{path}?fp=fp16").status_code == 307
    assert site.get(f"{path}?fileId={seeded.file_id}").status_code == 307
    assert site.get(f"{path}?fileId=7").status_code == 404


def test_scheduled_models_go_public_when_due_and_only_with_a_file(site: Bench, tmp_path: Path) -> None:
    with site.client("full") as client:
        model = client.upsert_model(_DRAFT)
        version = client.upsert_version({"modelId": model, "name": "v1", "baseModel": "SD 1.5"})
        client.publish_model(model, [version], at=site.clock.now.replace(hour=18))
    site.clock.sleep(7 * 3600)
    site.get("/api/v1/models")
    found = site.sandbox.models_named("Harbor")[0]
    assert (found["status"], found["versions"][0]["status"]) == ("Published", "Scheduled")


def test_the_nightly_sweep_takes_down_what_lacks_a_file_or_a_post(site: Bench) -> None:
    with site.client() as client:
        model = client.upsert_model(_DRAFT)
        version = client.upsert_version({"modelId": model, "name": "v1", "baseModel": "SD 1.5"})
        client.publish_model(model, [version])
    assert site.sandbox.sweep() == [version]
    assert site.sandbox.models_named("Harbor")[0]["status"] == "Unpublished"


def test_the_state_outlives_the_server(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "s") as sandbox:
        seeded = seed_model(
            sandbox,
            write_lora(tmp_path / "a.safetensors"),
            name="Harbor",
            previews=[(write_png(tmp_path / "p.png"), {})],
        )
    with Sandbox(tmp_path / "s", settings=Settings()) as sandbox:
        version = _HTTP.get(f"{sandbox.url}/api/v1/model-versions/{seeded.version_id}").json()
        assert _HTTP.get(version["images"][0]["url"]).content == (tmp_path / "p.png").read_bytes()
        assert (
            _HTTP.get(version["downloadUrl"], follow_redirects=True).content
            == (tmp_path / "a.safetensors").read_bytes()
        )


def test_faults_strike_as_often_as_told(site: Bench) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/enums", status=503, headers={"Retry-After": "2"}, times=2)]
    answers = [site.get("/api/v1/enums") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["Retry-After"] == "2"


def test_a_lost_answer_leaves_the_work_done(site: Bench) -> None:
    site.sandbox.settings.faults = [Fault("model.upsert", after=True, drop=True)]
    with pytest.raises(httpx.RemoteProtocolError):
        _upsert(site)
    assert len(site.sandbox.models_named("Harbor")) == 1


def test_the_page_of_a_model_runs_no_script_of_its_publisher(site: Bench, tmp_path: Path) -> None:
    seeded = seed_model(
        site.sandbox, write_lora(tmp_path / "a.safetensors"), name="<b>Harbor", description="<script>alert(1)</script>"
    )
    page = site.get(f"/models/{seeded.model_id}")
    assert "<h1>&lt;b&gt;Harbor</h1>" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_uploaded_pictures_and_videos_come_in_the_size_asked_for(site: Bench, tmp_path: Path) -> None:
    previews = [(write_png(tmp_path / "p.png"), {"prompt": "x"}), (write_video(tmp_path / "v.mp4"), {})]
    seeded = seed_model(site.sandbox, write_lora(tmp_path / "a.safetensors"), name="Harbor", previews=previews)
    pictures = site.get(f"/api/v1/model-versions/{seeded.version_id}").json()["images"]
    sizes = []
    for picture in pictures:
        url = picture["url"].replace("original=true", "anim=false,transcode=true,width=16").replace(".mp4", ".jpeg")
        with Image.open(io.BytesIO(_HTTP.get(url).content)) as opened:
            sizes.append((opened.format, opened.size))
    assert sizes == [("JPEG", (16, 12)), ("JPEG", (16, 12))]
    assert _HTTP.get(pictures[1]["url"]).content == (tmp_path / "v.mp4").read_bytes()
    assert _HTTP.get(f"{site.sandbox.world.storage}/media/unknown/width=16/1.jpeg").status_code == 404


def test_a_store_of_before_the_index_is_brought_up_to_date(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "s") as sandbox:
        seeded = seed_model(sandbox, write_lora(tmp_path / "a.safetensors"), name="Harbor")
    with contextlib.closing(sqlite3.connect(tmp_path / "s" / "sandbox.db")) as db:
        db.executescript("DROP INDEX things_state; ALTER TABLE things DROP COLUMN state; DROP TABLE stale")
        for (table,) in db.execute(
            "SELECT name FROM sqlite_master WHERE name LIKE 'listed%' AND type = 'table'"
        ).fetchall():
            db.execute(f"DROP TABLE {table}")
    with Sandbox(tmp_path / "s") as sandbox:
        (model,) = _HTTP.get(f"{sandbox.url}/api/v1/models").json()["items"]
        assert model["id"] == seeded.model_id
