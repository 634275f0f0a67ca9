"""Every answer that the contract shows is understood, and no damaged one does more than raise the client's own errors."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from hubman.civitai import errors, lenient
from hubman.civitai.client import Civitai
from hubman.civitai.permissions import report
from hubman.civitai.records import Me, ModelPage, RemoteModel, RemoteVersion
from registry.errors import HubError
from tests.support.civitai_answers import Example, answering, damaged, examples


@pytest.fixture(scope="module")
def site() -> Iterator[Civitai]:
    with Civitai("https://civitai.com", "a" * 32, sleep=lambda _seconds: None) as client:
        yield client


def _read(site: Civitai, name: str) -> Any:
    example = next(example for example in examples() if example.name == name)
    with answering(example.status, example.text.encode(), example.headers):
        return example.ask(site)


@pytest.mark.parametrize("example", [example for example in examples() if example.status == 200], ids=lambda e: e.name)
def test_an_answer_of_the_contract_is_read_without_a_complaint(
    site: Civitai, example: Example, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(200, example.text.encode(), example.headers):
        _use(example.ask(site))
    assert [record for record in caplog.records if "unexpected" in record.message] == []


_ERRORS = {
    400: (errors.RejectedError, errors.RejectedError),
    401: (errors.TokenError, errors.NotOwnerError, errors.ForbiddenError),
    403: (errors.ScopeError, errors.AccountError, errors.ForbiddenError),
    404: (errors.MissingError,),
    409: (errors.UploadLostError,),
    410: (errors.GoneError,),
    429: (errors.RateLimitError,),
    451: (errors.RegionError,),
    500: (errors.UnavailableError,),
    503: (errors.UnavailableError,),
}


@pytest.mark.parametrize(
    "example",
    [example for example in examples() if example.status != 200 and example.call != "enums"],
    ids=lambda e: e.name,
)
def test_a_refusal_of_the_contract_becomes_its_error_with_its_sentence(site: Civitai, example: Example) -> None:
    with (
        answering(example.status, example.text.encode(), example.headers),
        pytest.raises(_ERRORS.get(example.status, errors.CivitaiError)) as caught,
    ):
        example.ask(site)
    assert caught.value.status == example.status
    assert "{" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_the_examples_say_arrives(site: Civitai) -> None:
    page: ModelPage = _read(site, "models")
    assert [model.allow_commercial_use for model in page.items] == [("Image", "RentCivit")] * 2
    assert page.next_page.startswith("https://civitai.com/api/v1/models?limit=2&cursor=")
    assert (page.items[1].mode, page.items[1].creator, page.items[1].versions[0].files) == ("Archived", "", ())
    bare: RemoteVersion = _read(site, "model").versions[0]
    assert (bare.trained_words, bare.files, bare.images, bare.description) == ((), (), (), "")
    version: RemoteVersion = _read(site, "version")
    assert version.primary_file is not None
    assert (version.primary_file.size, version.primary_file.sha256[:10]) == (228452454, "22d8cb95b8")
    assert [image.number for image in version.images] == [940001, 940001]
    assert _read(site, "owned_model") == _read(site, "owned_model_devalue")
    assert _read(site, "trpc_devalue") == {"id": 5, "when": "2026-08-08T00:00:00.000Z"}
    assert _read(site, "models_empty_page").next_page
    assert not _read(site, "models_last_page").next_page


def test_a_key_is_described_in_words(site: Civitai) -> None:
    page = "https://civitai.com/user/account?addApiKey=1&name=hubman&scope=Creator"
    good, muted = (report(_read(site, name), key_page=page) for name in ("me", "me_muted"))
    assert (good.can_publish, good.missing, good.advice) == (True, (), "")
    assert {"publish models", "publish pictures"} <= set(good.may)
    assert not muted.can_publish
    assert "muted" in muted.advice
    reader = report(Me(username="x", token_scope=36), key_page=page)
    assert reader.missing == ("publish models", "publish pictures")
    assert page in reader.advice
    silent = report(Me(username="x"), key_page=page)
    assert (silent.may, silent.can_publish) == ((), True)


_STATUSES = (200, 201, 204, 302, 304, 400, 401, 403, 404, 429, 500, 503)


def test_ten_thousand_damaged_answers_raise_nothing_but_errors_of_the_client(site: Civitai) -> None:
    luck, cases = random.Random(20260808), examples()
    understood = 0
    for number in range(10_000):
        example = cases[number % len(cases)]
        # What is asked again five times costs five times as much: a few of those are enough.
        usual = example.status if example.status < 429 or number % 8 == 0 else 400
        status = usual if luck.random() < 0.9 else luck.choice(_STATUSES)
        headers = {**example.headers, "Content-Type": luck.choice(["application/json"] * 9 + ["text/html"])}
        if status == 302:
            headers["Location"] = luck.choice(["", "/x", "https://[", "//:99999", "https://evil.example"])
        body = damaged(example.text, luck)
        with answering(status, body, headers):
            try:
                _use(example.ask(site))
                understood += 1
            except HubError as error:
                str(error).encode()
    # Not all were beyond understanding: what is left of an answer is shown.
    assert understood > 2000


def _use(found: Any) -> None:
    """What the rest of the program does with any record."""
    msgspec.json.encode(found)
    for model in found.items if isinstance(found, ModelPage) else [found] if isinstance(found, RemoteModel) else []:
        _ = model.creator
        for version in model.versions:
            _use(version)
    if isinstance(found, RemoteVersion):
        for file in found.files:
            assert len(file.sha256) in {0, 64}
            _ = file.size
        _ = found.primary_file
        for image in found.images:
            assert image.number < 2**63


def test_numbers_that_no_database_holds_are_left_out() -> None:
    model = lenient.decode(
        RemoteModel, json.loads('{"id": 1e400, "nsfwLevel": 9223372036854775808, "name": -Infinity}')
    )
    assert (model.id, model.nsfw_level, model.name) == (0, 0, "")
    meta = json.loads('{"images": [{"meta": {"seed": 99999999999999999999, "cfg": NaN, "a\\ud800": "\\udfff"}}]}')
    assert lenient.decode(RemoteVersion, meta).images[0].meta == {"seed": None, "cfg": None, "a": ""}


def test_what_does_not_fit_is_logged_once_and_never_with_its_value(caplog: pytest.LogCaptureFixture) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    raw = {"id": [secret], "name": {secret: 1}, secret: 2, "extraField": secret}
    with caplog.at_level(logging.DEBUG):
        for _ in range(1000):
            lenient.decode(RemoteModel, raw, "logged once")
    assert secret not in caplog.text
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == len(set(messages)) == 4
    assert "logged once: added extraField" in messages
