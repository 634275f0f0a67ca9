"""One adapter reads, publishes, uploads and downloads; each test holds a promise that it makes."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from hubman.civitai import errors
from hubman.civitai.client import Civitai
from hubman.civitai.search import LORA_TYPES, ModelSearch
from hubman.civitai.uploads import UploadState
from hubman.progress import Progress
from hubman.sandbox import Fault, seed_model
from registry.errors import HubError
from tests.support.civitai import Bench, bench, digest, png, write_lora, write_png

_MODEL = {
    "name": "Harbor",
    "type": "LORA",
    "uploadType": "Created",
    "status": "Draft",
    "tagsOnModels": [{"name": "style"}],
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, chunk_size=1000) as running:
        yield running


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return write_lora(tmp_path / "harbor.safetensors")


def _version(client: Civitai) -> tuple[int, int]:
    model = client.upsert_model(_MODEL)
    return model, client.upsert_version({"modelId": model, "name": "v1", "baseModel": "SD 1.5", "status": "Draft"})


# accounts and refusals ---------------------------------------------------------------------------------------------


def test_me_tells_whether_the_key_may_publish(site: Bench) -> None:
    for key, may in [("creator", True), ("full", True), ("read-only", False)]:
        with site.client(key) as client:
            assert client.me().may_publish is may


def test_a_missing_or_dead_key_is_explained_without_showing_it(site: Bench) -> None:
    for token in ("", "deadbeef" * 4):
        with (
            Civitai(site.sandbox.url, token, sleep=site.clock.sleep) as client,
            pytest.raises(errors.TokenError) as caught,
        ):
            client.me()
        assert "CIVITAI_API_KEY" in str(caught.value)
        assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "kind", "hint"),
    [
        ("read-only", errors.ScopeError, "scope=Creator"),
        ("new", errors.AccountError, "log in on the site once"),
        ("muted", errors.AccountError, "support"),
        ("banned", errors.TokenError, "make a new one"),
    ],
)
def test_each_refusal_says_what_to_do(site: Bench, key: str, kind: type[HubError], hint: str) -> None:
    with site.client(key) as client, pytest.raises(kind) as caught:
        client.upsert_model(_MODEL)
    assert hint in str(caught.value)
    assert site.clock.slept == []


def test_schema_issues_become_one_line_with_their_paths(client: Civitai) -> None:
    with pytest.raises(errors.RejectedError) as caught:
        client.upsert_model({"name": "x", "type": "LORAX", "uploadType": "Created"})
    assert "type: Invalid option" in str(caught.value)
    assert "status: Invalid input: expected string, received undefined" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 422, 451])
def test_what_will_not_change_is_not_asked_twice(site: Bench, client: Civitai, status: int) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/models/7", status=status, times=9)]
    with pytest.raises(errors.CivitaiError) as caught:
        client.model(7)
    assert caught.value.status == status
    assert site.asked("/models/7") == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 520])
def test_what_may_pass_is_asked_again_after_the_time_told(site: Bench, client: Civitai, status: int) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/me", status=status, headers={"Retry-After": "7"}, times=2)]
    assert client.me().username == "creator"
    assert site.clock.slept == [7.0, 7.0]


def test_waits_grow_and_end_without_a_told_time(site: Bench, client: Civitai) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/me", status=503, times=99)]
    with pytest.raises(errors.UnavailableError):
        client.me()
    assert [round(seconds, 2) for seconds in site.clock.slept] == sorted(round(s, 2) for s in site.clock.slept)
    assert len(site.clock.slept) == 4


def test_a_html_page_of_a_cdn_is_no_sentence(site: Bench, client: Civitai) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/me", status=403, body="<html>Checking your browser</html>")]
    with pytest.raises(errors.PageError) as caught:
        client.me()
    assert "<html>" not in str(caught.value)
    assert "in a browser" in str(caught.value)
    assert site.asked("/me") == 1


def test_a_body_that_can_not_be_unpacked_is_asked_for_again(site: Bench, client: Civitai) -> None:
    site.sandbox.settings.faults = [
        Fault("/api/v1/me", status=200, headers={"Content-Encoding": "gzip"}, body="no gzip")
    ]
    assert client.me().username == "creator"
    site.sandbox.settings.faults[0].times = 99
    with pytest.raises(errors.UnavailableError):
        client.me()


def test_an_unreachable_site_is_named_without_its_key() -> None:
    with Civitai("http://127.0.0.1:9", "secret", sleep=lambda _s: None) as client, pytest.raises(HubError) as caught:
        client.me()
    assert "127.0.0.1:9" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_agent_is_honest_and_no_browser(site: Bench, client: Civitai, lora: Path) -> None:
    seeded = seed_model(site.sandbox, lora, name="Harbor", version_fields={"requireAuth": True})
    with site.client("") as stranger, pytest.raises(errors.TokenError):
        stranger.download(seeded.version_id, lora.with_name("out.safetensors"))


# reads ------------------------------------------------------------------------------------------------------


def test_a_model_reads_back_whole(site: Bench, client: Civitai, lora: Path, tmp_path: Path) -> None:
    picture = (write_png(tmp_path / "p.png"), {"prompt": "a harbor"})
    seeded = seed_model(site.sandbox, lora, name="Harbor", words=["hrbr"], previews=[picture], description="<p>Hi</p>")
    for as_text in (False, True):
        site.sandbox.settings.commercial_use_as_text = as_text
        model = client.model(seeded.model_id)
        assert (model.name, model.creator, model.tags) == ("Harbor", "creator", ("style",))
        assert model.allow_commercial_use == ("Image",)
    version = client.model_version(seeded.version_id)
    assert (version.model_id, version.trained_words) == (seeded.model_id, ("hrbr",))
    assert version.air == f"urn:air:sd1:lora:civitai:{seeded.model_id}@{seeded.version_id}"
    assert version.primary_file is not None
    assert version.primary_file.size == lora.stat().st_size
    assert version.images[0].number > 0
    assert client.media(version.images[0].url) == (tmp_path / "p.png").read_bytes()
    assert client.by_hash(version.primary_file.sha256).id == seeded.version_id
    assert version.images[0].meta == {"prompt": "a harbor"}
    assert client.enums().active_base_models
    assert "style" in {tag.name for tag in client.categories()}


def test_search_follows_pages_past_empty_ones(site: Bench, client: Civitai, lora: Path) -> None:
    for number in range(6):
        seed_model(site.sandbox, lora, name=f"Harbor {number}", model_fields={"nsfw": 1 < number < 5})
    asked = ModelSearch(query="harbor", types=LORA_TYPES, limit=1)
    page = client.search(asked)
    names = []
    while True:
        names += [model.name for model in page.items]
        if not page.next_page:
            break
        page = client.search(asked, next_page=page.next_page)
    assert names == ["Harbor 5", "Harbor 1", "Harbor 0"]
    assert [model.name for model in client.search_all(asked, limit=2)] == ["Harbor 5", "Harbor 1"]


def test_known_hashes_are_found_in_batches(site: Bench, client: Civitai, lora: Path) -> None:
    seeded = seed_model(site.sandbox, lora, name="Harbor")
    sha256 = client.model(seeded.model_id).versions[0].files[0].sha256
    matches = client.by_hash_ids([f"{number:064x}" for number in range(3000)] + [sha256])
    assert [(match.model_version_id, match.hash.lower()) for match in matches] == [(seeded.version_id, sha256)]
    assert site.asked("by-hash/ids") == 2


# tRPC -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("devalue", [False, True])
def test_both_encodings_tell_the_same(site: Bench, client: Civitai, devalue: bool) -> None:
    site.sandbox.settings.devalue = devalue
    model, version = _version(client)
    post = client.create_post(version_id=version, title="Showcase")
    assert [draft.id for draft in client.draft_models("Harbor")] == [model]
    owned = client.owned_model(model).versions[0]
    assert (owned.id, owned.status, [p.id for p in owned.posts]) == (version, "Draft", [post])
    client.publish_model(model, [version], at=site.clock.now)
    assert client.owned_model(model).status == "Published"
    with pytest.raises(errors.RejectedError, match="already published"):
        client.publish_model(model, [version])


def test_a_replica_that_lags_is_waited_for(site: Bench, client: Civitai) -> None:
    site.sandbox.settings.replica_lag = 2
    _model, version = _version(client)
    post = client.create_post(version_id=version, title="x")
    key = client.upload_image(png(), name="a.png", mime_type="image/png")
    assert client.add_image({"postId": post, "url": key, "index": 0}) > 0
    assert 0 < sum(site.clock.slept) < 30


@pytest.mark.parametrize("fault", [Fault("model.upsert", status=502), Fault("model.upsert", after=True, drop=True)])
def test_a_lost_answer_to_a_making_call_is_not_repeated(site: Bench, client: Civitai, fault: Fault) -> None:
    site.sandbox.settings.faults = [fault]
    with pytest.raises(errors.AnswerLostError):
        client.upsert_model(_MODEL)
    assert site.asked("model.upsert") == 1


def test_a_busy_site_did_nothing_and_is_asked_again(site: Bench, client: Civitai) -> None:
    site.sandbox.settings.faults = [Fault("model.upsert", status=429, body='{"message":"Server busy"}')]
    assert client.upsert_model(_MODEL)
    assert len(site.sandbox.models_named("Harbor")) == 1


def test_the_post_limit_is_told_at_once(site: Bench, client: Civitai) -> None:
    site.sandbox.settings.posts_per_day = 0
    _model, version = _version(client)
    with pytest.raises(errors.PostLimitError, match="tomorrow"):
        client.create_post(version_id=version, title="x")
    assert site.asked("post.create") == 1


# uploads ----------------------------------------------------------------------------------------------------


def _registered(client: Civitai, state: UploadState, version: int, name: str) -> str:
    """The SHA-256 that the site computes of what arrived."""
    client.create_file({
        "name": name, "type": "Model", "modelVersionId": version, "sizeKB": state.size / 1024, "url": state.url,
        "backend": state.backend, "s3Path": state.key,
    })  # fmt: skip
    files = client.query("modelVersion.getByIdForEdit", {"id": version, "withFiles": True})["files"]
    return str({item["type"]: item["hash"] for item in files[0]["hashes"]}["SHA256"]).lower()


def test_a_file_arrives_in_parts_and_whole(site: Bench, client: Civitai, lora: Path) -> None:
    heard: list[Progress] = []
    state = client.upload_file(lora, name=lora.name, sha256=digest(lora), report=heard.append)
    _model, version = _version(client)
    assert _registered(client, state, version, lora.name) == hashlib.sha256(lora.read_bytes()).hexdigest()
    assert state.part_count == len(state.parts) == -(-lora.stat().st_size // 1000)
    assert [p.done for p in heard] == sorted(p.done for p in heard)
    assert heard[-1].done == heard[-1].total == lora.stat().st_size
    assert "?" not in state.url


def test_an_upload_resumes_with_the_parts_that_are_missing(site: Bench, client: Civitai, lora: Path) -> None:
    saved: list[UploadState] = []
    site.sandbox.settings.faults = [Fault("/sandbox-models/", method="PUT", status=400, skip=2, times=99)]
    with pytest.raises(errors.RejectedError):
        client.upload_file(lora, name=lora.name, sha256=digest(lora), save=saved.append)
    site.sandbox.settings.faults.clear()
    sent = sum(method == "PUT" and status == 200 for method, _path, status in site.sandbox.requests)
    resumed = client.upload_file(lora, name=lora.name, sha256=digest(lora), state=saved[-1], save=saved.append)
    again = sum(method == "PUT" and status == 200 for method, _path, status in site.sandbox.requests) - sent
    assert resumed.upload_id == saved[0].upload_id
    assert again == resumed.part_count - len(saved[-(again + 2)].parts)
    assert client.upload_file(lora, name=lora.name, sha256=digest(lora), state=resumed) == resumed


def test_an_expired_address_is_signed_anew(site: Bench, client: Civitai, lora: Path) -> None:
    site.sandbox.settings.faults = [Fault("/sandbox-models/", method="PUT", status=403, times=1)]
    assert client.upload_file(lora, name=lora.name, sha256=digest(lora)).finished
    assert site.asked("sign-part") == 1


def test_an_upload_that_the_site_gave_up_starts_over(site: Bench, client: Civitai, lora: Path) -> None:
    site.sandbox.settings.faults = [Fault("/api/upload/complete", status=409)]
    assert client.upload_file(lora, name=lora.name, sha256=digest(lora)).finished
    assert site.asked("/api/upload/complete") == 2


def test_a_changed_file_is_not_continued(site: Bench, client: Civitai, lora: Path) -> None:
    first = client.upload_file(lora, name=lora.name, sha256=digest(lora))
    write_lora(lora, seed=3)
    assert client.upload_file(lora, name=lora.name, sha256=digest(lora), state=first).upload_id != first.upload_id


def test_a_file_that_changed_since_it_was_checked_is_not_put_together(site: Bench, client: Civitai, lora: Path) -> None:
    checked = digest(lora)
    write_lora(lora, seed=3)
    with pytest.raises(HubError, match="changed since it was checked"):
        client.upload_file(lora, name=lora.name, sha256=checked)
    assert site.asked("/api/upload/complete") == 0


def test_the_key_never_reaches_the_storage(site: Bench, client: Civitai, lora: Path) -> None:
    # The sandbox's storage answers 400 to any request with a key.
    client.upload_file(lora, name=lora.name, sha256=digest(lora))
    assert all(status == 200 for _method, _path, status in site.sandbox.requests)


def test_an_empty_file_is_not_sent(client: Civitai, tmp_path: Path) -> None:
    empty = tmp_path / "empty.safetensors"
    empty.touch()
    with pytest.raises(HubError, match="is empty"):
        client.upload_file(empty, name=empty.name, sha256=digest(empty))


# media ------------------------------------------------------------------------------------------------------


def test_the_media_host_gets_no_key(site: Bench, client: Civitai, lora: Path, tmp_path: Path) -> None:
    seeded = seed_model(site.sandbox, lora, name="Harbor", previews=[(write_png(tmp_path / "p.png"), {})])
    url = client.model_version(seeded.version_id).images[0].url
    assert httpx.get(url, headers={"Authorization": "Bearer x"}).status_code == 400
    assert client.media(url)


def test_nothing_logged_holds_the_key(site: Bench, client: Civitai, caplog: pytest.LogCaptureFixture) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/me", status=503, times=1)]
    with caplog.at_level(logging.DEBUG):
        client.me()
    assert site.sandbox.token() not in caplog.text


def test_dates_reach_the_site_as_dates(site: Bench, client: Civitai) -> None:
    model, version = _version(client)
    later = datetime(2026, 12, 24, 18, tzinfo=UTC)
    client.publish_model(model, [version], at=later)
    assert site.sandbox.models_named("Harbor")[0]["publishedAt"] == "2026-12-24T18:00:00.000Z"
