"""What was seen once can be looked at again when the site can't be reached, with its age."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest

from hubman.civitai import errors
from hubman.civitai.answers import SCHEMA, Answers, cache_path
from hubman.civitai.client import Civitai
from hubman.civitai.freshness import lifetime
from hubman.civitai.kept import kept
from hubman.civitai.ledger import Ledger
from hubman.civitai.limits import FAILURES
from hubman.civitai.media_cache import Media
from hubman.civitai.search import ModelSearch
from hubman.civitai.shared import Shared
from hubman.sandbox import Fault, seed_model
from tests.support.civitai import Bench, FakeClock, bench, png, write_lora, write_png

_REAL = "https://civitai.com"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def model_id(site: Bench, tmp_path: Path) -> int:
    lora = write_lora(tmp_path / "harbor.safetensors", seed=len(site.sandbox.requests))
    return seed_model(site.sandbox, lora, name="Harbor", previews=[(write_png(tmp_path / "a.png"), {})]).model_id


@contextlib.contextmanager
def _down(site: Bench, **fault: Any) -> Iterator[None]:
    site.sandbox.settings.faults = [Fault("", times=10_000, **fault)]
    try:
        yield
    finally:
        site.sandbox.settings.faults = []


# offline ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": True, "status": 0},
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "3600"}},
        {"status": 403, "body": "<html>Checking your browser</html>"},
        {"status": 200, "body": '{"items": ['},
    ],
)
def test_everything_seen_once_is_shown_with_its_age(
    site: Bench, tmp_path: Path, model_id: int, fault: dict[str, Any]
) -> None:
    home = tmp_path / "home"
    with site.client(home=home) as client:
        page, model = client.search(ModelSearch(query="Harbor")), client.model(model_id)
        version, image = client.model_version(model.versions[0].id), client.media(model.versions[0].images[0].url)
        assert (page.as_of, model.as_of, version.as_of) == ("", "", "")
    seen_at = site.clock.now
    site.clock.sleep(7200)
    with _down(site, **fault), site.client(home=home) as client:
        old = client.model(model_id)
        assert old.as_of[:13] == seen_at.isoformat()[:13]
        assert old.versions[0].as_of == old.as_of
        assert client.search(ModelSearch(query="Harbor")).as_of[:13] == seen_at.isoformat()[:13]
        assert client.model_version(version.id).as_of
        assert (old.name, old.versions[0].files) == (model.name, model.versions[0].files)
        assert fault["status"] == 200 or client.media(model.versions[0].images[0].url) == image
        with pytest.raises(errors.CivitaiError):
            client.search(ModelSearch(query="never seen"))
    site.clock.sleep(7200)
    with site.client(home=home) as client:
        assert client.model(model_id).as_of == ""


def test_a_site_that_is_gone_is_looked_at_without_long_waits(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with bench(tmp_path) as site, site.client(home=home) as client:
        assert client.search(ModelSearch(query="x")).as_of == ""
        clock, address, token = site.clock, site.sandbox.url, site.sandbox.token()
    before = len(clock.slept)
    with Civitai(address, token, sleep=clock.sleep, shared=Shared(home, clock=clock.seconds)) as client:
        assert client.search(ModelSearch(query="x")).as_of
    assert sum(clock.slept[before:]) < 5


def test_another_home_or_a_session_without_a_key_has_its_own_answers(
    site: Bench, tmp_path: Path, model_id: int
) -> None:
    home = tmp_path / "home"
    with site.client(home=home) as client:
        client.model(model_id)
    with _down(site, status=502):
        for other in (site.client("", home=home), site.client(home=tmp_path / "other")):
            with other, pytest.raises(errors.UnavailableError):
                other.model(model_id)


def test_a_refusal_is_never_kept_nor_hidden_by_what_is(site: Bench, tmp_path: Path, model_id: int) -> None:
    home = tmp_path / "home"
    with site.client(home=home) as client:
        client.model(model_id)
        with pytest.raises(errors.MissingError):
            client.model(999_999)
        assert kept(home).answers == 1
        site.sandbox.settings.faults = [Fault(f"/models/{model_id}", status=404)]
        # The site says that it is gone, which is news, not a failure.
        with pytest.raises(errors.MissingError):
            client.model(model_id)
        with _down(site, status=502):
            assert client.model(model_id).as_of


def test_whether_a_key_works_is_never_answered_from_memory(site: Bench, tmp_path: Path) -> None:
    with site.client(home=tmp_path) as client:
        client.me()
        with _down(site, status=502), pytest.raises(errors.UnavailableError):
            client.me()


# freshness -------------------------------------------------------------------------------------------------------------


class _Site:
    """Answers in the place of the network, and remembers what it was asked."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers, self.asked = headers, []  # type: ignore[var-annotated]

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        self.asked.append(dict(options.get("headers") or {}))
        tag = self.headers.get("ETag")
        same = bool(tag) and self.asked[-1].get("If-None-Match") == tag
        data = {"id": 5, "name": f"answer {len(self.asked)}", "result": {"data": {"json": None}}}
        body = b"" if same else json.dumps(data).encode()
        return httpx.Response(
            304 if same else 200, headers=self.headers, content=body, request=httpx.Request(method, url)
        )


@contextlib.contextmanager
def _against(headers: dict[str, str], home: Path) -> Iterator[tuple[_Site, Civitai, FakeClock]]:
    site, clock = _Site(headers), FakeClock()
    with (
        mock.patch.object(httpx.Client, "request", site.request),
        Civitai(_REAL, "", sleep=clock.sleep, shared=Shared(home, clock=clock.seconds)) as client,
    ):
        yield site, client, clock


def test_a_fresh_answer_is_not_asked_for_again_until_it_is_old(tmp_path: Path) -> None:
    control = {"Cache-Control": "public, s-maxage=300, stale-while-revalidate=150"}
    with _against(control, tmp_path) as (site, client, clock):
        assert [client.model(5).name for _ in range(3)] == ["answer 1"] * 3
        clock.sleep(299)
        assert client.model(5).as_of == ""
        clock.sleep(2)
        assert client.model(5).name == "answer 2"
        assert len(site.asked) == 2


def test_a_change_makes_every_answer_old(tmp_path: Path) -> None:
    with _against({"Cache-Control": "public, s-maxage=300"}, tmp_path) as (_, client, _clock):
        client.model(5)
        client.update_post(7, {"title": "x"})
        assert client.model(5).name == "answer 3"


def test_a_tag_is_sent_back_and_304_is_the_same_answer_again(tmp_path: Path) -> None:
    with _against({"ETag": 'W/"abc"'}, tmp_path) as (site, client, clock):
        assert client.model(5).name == "answer 1"
        clock.sleep(5000)
        again = client.model(5)
        assert (again.name, again.as_of) == ("answer 1", "")
        assert site.asked == [{}, {"If-None-Match": 'W/"abc"'}]
        # It was true then: that is its age from now on.
        then = clock.now.isoformat(timespec="seconds")
        with mock.patch.object(httpx.Client, "request", side_effect=httpx.ConnectError("down")):
            assert client.model(5).as_of == then


def test_a_tag_that_can_not_be_sent_back_is_none(site: Bench, tmp_path: Path) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/enums", status=200, headers={"ETag": '"ü"'}, body="{}")]
    with site.client(home=tmp_path) as client:
        client.enums()
        assert client.enums().model_types


@pytest.mark.parametrize(
    ("control", "seconds"),
    [
        ("", 0),
        ("max-age=0, private, no-cache", 0),
        ("private, max-age=60", 0),
        ("no-store", 0),
        ("public, s-maxage=300, stale-while-revalidate=150", 300),
        ("max-age=60", 60),
        ("public, S-MaxAge=900, max-age=10", 900),
        ("s-maxage=99999999", 3600),
        ("s-maxage=-5", 0),
        ("s-maxage=soon, max-age=²", 0),
        ("s-maxage=" + "9" * 400, 0),
    ],
)
def test_how_long_an_answer_may_be_believed(control: str, seconds: float) -> None:
    assert lifetime(control) == seconds


# what is written --------------------------------------------------------------------------------------------------------


def _answers(home: Path, clock: FakeClock, **options: Any) -> Answers:
    return Answers(Ledger(cache_path(home), SCHEMA), _REAL, clock=clock.seconds, **options)


def test_answers_with_a_key_or_a_signature_and_those_of_programs_are_not_written(tmp_path: Path) -> None:
    answers = _answers(tmp_path, FakeClock(), secret="0123456789abcdef")
    for body in (b'{"a": "0123456789abcdef"}', b'{"url": "https://x/y?a=1&X-Amz-Signature=beef"}', b'["/n?token=x"]'):
        answers.keep("/x", body)
    answers.keep("/y", b"{}", cache_control="no-store")
    # Ten thousand files that are looked up must not push out what a person looked at.
    answers.keep("/api/v1/models?ids=1%2C2&nsfw=true", b"{}")
    assert kept(tmp_path).answers == 0
    assert (answers.find("/x"), answers.find("/y")) == (None, None)


def test_the_oldest_answers_make_room(tmp_path: Path) -> None:
    clock = FakeClock()
    answers = _answers(tmp_path, clock, largest_total=4000)
    for number in range(20):
        clock.sleep(1)
        answers.keep(f"/{number}", bytes((number * 7 + i * i) % 251 for i in range(500)))
        assert answers.find("/0") is not None
    found = [number for number in range(20) if answers.find(f"/{number}")]
    assert kept(tmp_path).answers_size <= 4000
    # What is looked at stays, and so does what came last.
    assert found[0] == 0
    assert found[1:] == list(range(found[1], 20))
    assert len(found) < 19


def test_the_oldest_pictures_make_room_on_the_disk_too(tmp_path: Path) -> None:
    clock = FakeClock()
    media = Media(Ledger(cache_path(tmp_path), SCHEMA), tmp_path / "media", clock=clock.seconds, largest_total=1000)
    for number in range(20):
        clock.sleep(1)
        media.keep(f"https://image/{number}", bytes(100))
    files = [path for path in (tmp_path / "media").rglob("*") if path.is_file()]
    assert len(files) == kept(tmp_path).pictures <= 10
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert media.find("https://image/19") == bytes(100)
    assert media.find("https://image/0") is None


def test_no_picture_is_kept_that_nothing_would_ever_drop(tmp_path: Path) -> None:
    cache_path(tmp_path).parent.mkdir(parents=True)
    cache_path(tmp_path).mkdir()
    Media(Ledger(cache_path(tmp_path), SCHEMA), tmp_path / "media").keep("https://image/1", bytes(100))
    assert not (tmp_path / "media").exists()


def test_a_picture_seen_once_is_not_fetched_again(tmp_path: Path) -> None:
    clock, url = FakeClock(), "https://image.civitai.com/a/uuid/width=450/1.jpeg"
    with Civitai(_REAL, shared=Shared(tmp_path, clock=clock.seconds), sleep=clock.sleep) as client:
        Shared(tmp_path, clock=clock.seconds).media(_REAL).keep(url, png())
        assert client.media(url) == png()
        with pytest.raises(errors.CivitaiError):
            client.media(url, limit=5)


@pytest.mark.parametrize("body", ["<!DOCTYPE html><p>Log in to the network", '{"error": "not now"}'])
def test_what_came_in_place_of_a_picture_is_not_kept(site: Bench, tmp_path: Path, model_id: int, body: str) -> None:
    with site.client("") as client:
        url = client.model(model_id).versions[0].images[0].url
    clock, home = FakeClock(), tmp_path / "home"
    with Civitai(_REAL, sleep=clock.sleep, shared=Shared(home, clock=clock.seconds)) as client:
        site.sandbox.settings.faults = [Fault("/media/", status=200, body=body, times=3)]
        if body.startswith("{"):
            assert [client.media(url) for _ in range(3)] == [body.encode()] * 3
        else:
            with pytest.raises(errors.UnavailableError, match="web page"):
                client.media(url)
        assert client.media(url) == png()
        before = site.asked("/media/")
        assert client.media(url) == png()
        assert site.asked("/media/") == before, "now it is kept"
        Shared(home, clock=clock.seconds).media(_REAL).keep(url, body.encode())
        assert client.media(url) == png(), "what was kept before is looked at too"


def test_pictures_of_a_host_that_fails_are_given_up_at_once(tmp_path: Path) -> None:
    clock = FakeClock()
    with (
        mock.patch.object(httpx.Client, "stream", side_effect=httpx.ConnectError("down")) as tried,
        Civitai(_REAL, shared=Shared(tmp_path, clock=clock.seconds), sleep=clock.sleep) as client,
    ):
        for number in range(9):
            with pytest.raises(errors.UnavailableError):
                client.media(f"https://image.example/{number}.jpeg")
        # The second one found out, the others were told.
        assert tried.call_count == FAILURES
        assert sum(clock.slept) < 10


def test_a_damaged_cache_is_an_empty_one(tmp_path: Path) -> None:
    path = cache_path(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 500)
    with _against({}, tmp_path) as (_, client, _clock):
        assert client.model(5).name == "answer 1"
        assert client.model(5).name == "answer 2"
