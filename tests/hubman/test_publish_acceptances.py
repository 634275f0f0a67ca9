"""What was accepted once is not asked for again, as long as it is the same that was accepted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hubman.civitai import acceptances, preflight
from hubman.civitai.client import Civitai
from hubman.civitai.finding import HARMLESS, Finding, PreflightError
from hubman.civitai.form import PublishForm
from hubman.civitai.publish import publish
from hubman.cli.main import run
from registry.database import Registry
from tests.support.civitai import Bench, bench
from tests.support.publishing import add_version, form_of, make_version

PRIVATE = {"note": "/home/someone/private"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, posts_per_day=10_000) as running:
        yield running


def _found(registry: Registry, client: Civitai, form: PublishForm) -> dict[str, Finding]:
    return {one.code: one for one in preflight.findings(registry, client, form)}


def _mature(form: PublishForm, *levels: int) -> PublishForm:
    """With pictures of these levels."""
    (part,) = form.parts
    pictures = [
        msgspec.structs.replace(one, nsfw_level=level) for one, level in zip(part.pictures, levels, strict=True)
    ]
    return msgspec.structs.replace(form, parts=(msgspec.structs.replace(part, pictures=tuple(pictures)),))


def test_a_warning_by_name_is_accepted_from_then_on_and_the_harmless_ones_are_not(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    form = form_of(registry, make_version(registry, tmp_path, metadata=PRIVATE))
    publish(registry, client, form, accept=[HARMLESS, "header-private"], dry_run=True)
    assert not _found(registry, client, form)["header-private"].accepted
    with pytest.raises(PreflightError):
        publish(registry, client, form, accept=["header-private"])
    found = _found(registry, client, form)
    assert (found["header-private"].accepted, found["pictures-few"].accepted) == (True, False)
    assert publish(registry, client, form, accept=[HARMLESS]).status == "published"
    acceptances.take_back(registry, client.site, form.version_ids)
    assert not _found(registry, client, form)["header-private"].accepted


def test_what_is_counted_in_the_same_words_and_is_another_thing_is_asked_for_again(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    form = form_of(registry, make_version(registry, tmp_path))
    mature, other = _mature(form, 8, 0), _mature(form, 0, 8)
    accepted = _found(registry, client, mature)["nsfw-pictures"]
    acceptances.remember(registry, client.site, form.version_ids, [accepted])
    assert _found(registry, client, mature)["nsfw-pictures"].accepted
    assert _found(registry, client, other)["nsfw-pictures"].message == accepted.message
    assert not _found(registry, client, other)["nsfw-pictures"].accepted


def test_what_was_accepted_of_one_version_is_not_of_a_further_one(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    first = make_version(registry, tmp_path)
    second = add_version(registry, tmp_path, first)
    alone, both = form_of(registry, first, sfw_only="yes"), form_of(registry, first, second, sfw_only="yes")
    wanted = {"pictures-unrated", "pictures-few"}
    found = [one for one in preflight.findings(registry, client, alone) if one.code in wanted]
    acceptances.remember(registry, client.site, alone.version_ids, found)
    told = [one for one in preflight.findings(registry, client, both) if one.code in wanted]
    assert [(one.code, one.version_id == first) for one in told if one.accepted] == [("pictures-few", True)]
    elsewhere = acceptances.applied(registry, "https://elsewhere.example", alone.version_ids, found)
    assert not any(one.accepted for one in elsewhere)


def test_the_command_takes_back_what_it_accepted(
    site: Bench, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_version(registry, tmp_path, metadata=PRIVATE)
    monkeypatch.setenv("HUBMAN_HOME", str(registry.home))
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", site.sandbox.url)
    monkeypatch.setenv("CIVITAI_API_KEY", site.sandbox.token())
    command = ["publish", "harbor", "--no-nsfw", "--no-poi", "--no-minor", "--json"]
    assert run([*command, "--yes", "--draft"]) == 1
    assert run([*command, "--accept", "header-private"]) == 1
    assert run([*command, "--yes", "--draft"]) == 0
    capsys.readouterr()
    assert run([*command, "--check", "--accept", "none"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [one["accepted"] for one in found if one["code"] == "header-private"] == [False]
