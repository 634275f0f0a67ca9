"""A search as it is asked, and what a generated catalogue answers to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from msgspec.structs import replace

from hubman.civitai.client import Civitai
from hubman.civitai.errors import TokenError
from hubman.civitai.image_search import ImageSearch
from hubman.civitai.records import RemoteImage, RemoteModel
from hubman.civitai.search import ModelSearch, address
from hubman.civitai.search_line import parse
from hubman.civitai.sift import Sift, sifted
from hubman.cli.main import run
from hubman.sandbox import seed_model
from registry.errors import UsageError
from tests.support.civitai import Bench, bench, write_lora


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("site")) as running:
        running.sandbox.seed_catalogue(150)
        yield running


@pytest.fixture(scope="module")
def client(site: Bench) -> Iterator[Civitai]:
    with site.client() as client:
        yield client


def asked(search: ModelSearch) -> list[tuple[str, str]]:
    return sorted(parse_qsl(urlsplit(address(search)).query))


def test_every_parameter_goes_out_in_the_form_that_the_site_takes() -> None:
    search = ModelSearch(
        query="ink wash", tag="style", username="ann", types=("LORA", "LoCon"), base_models=("SDXL 1.0", "Pony"),
        checkpoint_type="Merge", sort="Most Downloaded", period="Month", period_mode="stats", ids=(1, 2),
        version_ids=(3, 4), nsfw=True, primary_file_only=True, favorites=True, hidden=True, supports_generation=True,
        early_access=True, from_platform=True, followed=True, archived=True, new_creators=True,
        allow_commercial_use=("Sell", "Rent"), availability="Public", file_formats=("GGUF", "ONNX"), limit=50, cursor="7",
    )  # fmt: skip
    assert asked(search) == sorted([
        ("query", "ink wash"), ("tag", "style"), ("username", "ann"), ("types", "LORA"), ("types", "LoCon"),
        ("baseModels", "SDXL 1.0"), ("baseModels", "Pony"), ("checkpointType", "Merge"), ("sort", "Most Downloaded"),
        ("period", "Month"), ("periodMode", "stats"), ("ids", "1,2"), ("modelVersionIds", "3,4"), ("nsfw", "true"),
        ("primaryFileOnly", "true"), ("favorites", "true"), ("hidden", "true"), ("supportsGeneration", "true"),
        ("earlyAccess", "true"), ("fromPlatform", "true"), ("followed", "true"), ("archived", "true"),
        ("newCreators", "true"), ("allowCommercialUse", "Sell"), ("allowCommercialUse", "Rent"),
        ("availability", "Public"), ("fileFormats", "GGUF"), ("fileFormats", "ONNX"), ("limit", "50"), ("cursor", "7"),
    ])  # fmt: skip


def test_what_is_false_is_never_said_and_one_format_goes_twice() -> None:
    assert asked(ModelSearch()) == [("limit", "100"), ("nsfw", "false")]
    formats = [value for name, value in asked(ModelSearch(file_formats=("GGUF",))) if name == "fileFormats"]
    assert formats == ["GGUF", "GGUF"]


def test_the_site_takes_each_parameter(client: Civitai) -> None:
    line = (
        "type:=lora,checkpoint base:pony,sdxl1.0 tag:style by:ann sort:liked period:year counted:stats nsfw:x lic:sell "
        "checkpoint:merge format:gguf availability:public is:early,generator,onsite,followed,archived,fav,hidden,"
        "newcreator,primary id:1 version:2 limit:7"
    )
    assert client.search(parse(line)).items == ()
    assert client.search(parse(line + " page:3")).items == ()
    assert client.search(parse(line + " ink")).items == ()


@pytest.mark.parametrize(
    ("search", "says"),
    [
        (ModelSearch(limit=101), "can't hold 101"),
        (ModelSearch(limit=0), "can't hold 0"),
        (ModelSearch(page=2, query="ink"), "no page numbers"),
        (ModelSearch(page=2, cursor="x"), "exclude each other"),
        (ModelSearch(page=11), "behind the first 1,000"),
        (ModelSearch(page=-1), "counted from 1"),
    ],
)
def test_what_the_site_would_refuse_is_not_asked(site: Bench, client: Civitai, search: ModelSearch, says: str) -> None:
    before = len(site.sandbox.requests)
    with pytest.raises(UsageError, match=says):
        client.search(search)
    assert len(site.sandbox.requests) == before
    assert client.search(ModelSearch(page=10)).items == ()


@pytest.mark.parametrize("word", ["fav", "hidden", "followed"])
def test_what_only_an_account_knows_needs_a_key(site: Bench, word: str) -> None:
    before = len(site.sandbox.requests)
    with site.client("") as stranger, pytest.raises(TokenError, match="hubman login"):
        stranger.search(parse(f"is:{word}"))
    assert len(site.sandbox.requests) == before


Holds = Callable[[RemoteModel], bool]


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("type:checkpoint,vae", lambda model: model.type in {"Checkpoint", "VAE"}),
        ("base:pony", lambda model: any(one.base_model == "Pony" for one in model.versions)),
        ("base:sdxl*", lambda model: any(one.base_model.startswith("SDXL") for one in model.versions)),
        ("by:aquarelle", lambda model: model.creator == "aquarelle"),
        ("tag:character", lambda model: "character" in model.tags),
        ("-tag:character", lambda model: "character" not in model.tags),
        ("-by:aquarelle -type:locon", lambda model: model.creator != "aquarelle" and model.type != "LoCon"),
        ("lic:sell", lambda model: "Sell" in model.allow_commercial_use),
        ("lic:derivatives,nocredit", lambda model: model.allow_derivatives is True and model.allow_no_credit is True),
        ("lic:relicense", lambda model: model.allow_different_license is True),
        ("nsfw:pg", lambda model: not model.nsfw and all(one.nsfw_level <= 1 for one in _images(model))),
        ("nsfw:pg13", lambda model: not model.nsfw and (model.nsfw_level & 3 > 0 or not model.nsfw_level)),
        ("is:early", lambda model: any(one.early_access_deadline for one in model.versions)),
    ],
)
def test_the_line_finds_what_it_says_and_only_that(client: Civitai, line: str, holds: Holds) -> None:
    found = list(client.search_all(parse(line), limit=1000))
    assert found
    assert all(holds(model) for model in found)


def _images(model: RemoteModel) -> list[RemoteImage]:
    return [image for version in model.versions for image in version.images]


def test_orders_are_the_sites(client: Civitai) -> None:
    newest, oldest = (
        [model.id for model in client.search(parse(f"sort:{order}")).items] for order in ("newest", "oldest")
    )
    assert newest[0] in oldest[-5:]
    assert oldest[0] in newest[-5:]
    told = [model.stats.download_count for model in client.search(parse("sort:downloads")).items]
    counts = [count for count in told if count is not None]
    assert counts == sorted(counts, reverse=True)
    assert len(counts) < len(told), "what a creator hides is not told, which is no zero"


def test_pages_together_are_the_whole_whatever_their_length(client: Civitai) -> None:
    search = parse("type:any nsfw:xxx sort:oldest")
    whole = [model.id for model in client.search_all(search, limit=1000)]
    short = [model.id for model in client.search_all(replace(search, limit=17), limit=1000)]
    assert short == whole
    assert len(whole) > 120
    assert [model.id for model in client.search_all(replace(search, limit=7), limit=10)] == whole[:10]


def test_pages_that_the_site_empties_do_not_end_the_search(client: Civitai) -> None:
    """PG only: the site takes a page by position and leaves out what is above afterwards."""
    search = replace(parse("type:lora nsfw:pg"), limit=3)
    found = {model.id for model in client.search_all(search, limit=1000)}
    assert found == {model.id for model in client.search_all(replace(search, limit=100), limit=1000)}


def test_a_level_leaves_out_what_lies_wholly_above_it() -> None:
    mild = RemoteModel(id=1, nsfw_level=1 | 8)
    strong = RemoteModel(id=2, nsfw_level=4 | 8)
    adult = RemoteModel(id=3, nsfw_level=1, nsfw=True)
    untold = RemoteModel(id=4)
    found = sifted([mild, strong, adult, untold], Sift(up_to=2))
    assert ([model.id for model in found.models], found.above, found.others) == ([1, 4], 2, 0)
    assert len(sifted([mild, strong, adult, untold], Sift(up_to=4)).models) == 4
    assert len(sifted([mild, strong, adult, untold], Sift()).models) == 4


def test_a_licence_that_nobody_told_does_not_allow() -> None:
    told = RemoteModel(id=1, allow_derivatives=True)
    found = sifted(
        [told, RemoteModel(id=2), RemoteModel(id=3, allow_derivatives=False)], Sift(licence=("derivatives",))
    )
    assert ([model.id for model in found.models], found.others) == ([1], 2)


# pictures, creators, names ----------------------------------------------------------------------------------------


def test_pictures_come_with_what_they_were_drawn_with(client: Civitai) -> None:
    model = next(iter(client.search_all(parse("sort:downloads nsfw:xxx"), limit=1)))
    version = model.versions[0]
    page = client.images(ImageSearch(version_id=version.id))
    assert page.items
    assert {version.id} <= set(page.items[0].model_version_ids)
    assert any(image.settings.get("prompt") for image in page.items)
    assert all(image.level for image in page.items)
    every, mild = (client.images(ImageSearch(levels=levels, limit=200)).items for levels in (31, 1))
    assert {image.level for image in every} > {image.level for image in mild} == {1}


def test_creators_and_tags_are_listed_and_names_are_the_sites_own(client: Civitai) -> None:
    page = client.creators("aqua")
    assert page.items[0].username == "aquarelle"
    assert (page.items[0].model_count or 0) > 10
    first = client.creators(limit=3)
    second = client.creators(next_page=first.next_page)
    assert not {one.username for one in first.items} & {one.username for one in second.items}
    assert first.total > 6
    assert "style" in {tag.name for tag in client.tags("sty").items}
    names = client.names()
    assert "LORA" in names.types
    assert names.bases.index("SDXL 1.0") < names.bases.index("SDXL 0.9"), "what is still offered goes first"


# the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def configured(site: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("HUBMAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", site.sandbox.url)
    monkeypatch.setenv("CIVITAI_API_KEY", site.sandbox.token())
    return site


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert run(list(words)) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("configured")
def test_options_and_the_line_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    by_line = said(capsys, "search", "--json", "type:any", 'base:"SD 1.5"', "-tag:style", "-by:bitloom", "sort:newest")
    by_options = said(
        capsys, "search", "--json", "--type", "any", "--base", "sd1.5", "--sort", "newest", "-tag:style", "-by:bitloom"
    )
    assert json.loads(by_line) == json.loads(by_options)
    assert json.loads(by_line)


@pytest.mark.usefixtures("configured")
def test_a_limit_beyond_a_page_follows_pages(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "search", "--json", "--limit", "120", "type:any", "nsfw:xxx"))
    assert len({model["id"] for model in found}) == 120


@pytest.fixture
def endless(configured: Bench) -> Iterator[list[str]]:
    """A site whose every page is empty and has a following one; the addresses that were asked for."""
    urls: list[str] = []

    def request(_client: httpx.Client, method: str, url: str, **_options: Any) -> httpx.Response:
        urls.append(url)
        told = {"items": [], "metadata": {"nextCursor": len(urls)}}
        return httpx.Response(200, json=told, request=httpx.Request(method, url))

    with mock.patch.object(httpx.Client, "request", request):
        yield urls


def test_pages_without_end_are_not_followed_without_end(
    site: Bench, endless: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with Civitai(site.sandbox.url) as client:
        assert list(client.models([1, 2])) == []
    assert len(endless) == 3
    assert run(["search", "--json", "type:any"]) == 0
    assert "given up after 100 pages" in capsys.readouterr().err


@pytest.mark.usefixtures("configured")
def test_a_wrong_word_is_pointed_at_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "tag:ink", "base:SDXL"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "hubman: there is no base model 'SDXL': did you mean SDXL 1.0? SDXL* takes all that begin so",
        "tag:ink base:SDXL",
        "             ^^^^",
    ]
    assert run(["search", "--sort", "newst"]) == 2
    assert "did you mean newest?" in capsys.readouterr().err


def test_what_is_here_is_marked(configured: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from registry.database import Registry
    from registry.scan import index_file

    here = write_lora(tmp_path / "here.safetensors", seed=77)
    seed_model(configured.sandbox, here, name="Kelp forest")
    with Registry(tmp_path / "home") as registry:
        index_file(registry, here)
    assert said(capsys, "search", "kelp", "forest").startswith("✔\tKelp forest\tLORA\tSD 1.5\t")


def test_examples_tell_prompts_and_how_many_are_left_out(
    configured: Bench, client: Civitai, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    adult = next(
        model for model in client.search_all(parse("type:any nsfw:xxx"), limit=1000)
        if {image.nsfw_level for image in model.versions[0].images} >= {1, 8}
    )  # fmt: skip
    monkeypatch.setenv("HUBMAN_NSFW", "pg")
    assert run(["examples", f"{configured.sandbox.url}/models/{adult.id}", "--limit", "200"]) == 0
    told = capsys.readouterr()
    assert "left out" in told.err
    assert " PG by " in told.out
    assert " X by " not in told.out
    monkeypatch.setenv("HUBMAN_NSFW", "xxx")
    assert "    prompt: " in said(capsys, "examples", str(adult.versions[0].id), "--with-prompt")


@pytest.mark.usefixtures("configured")
def test_creators_and_names_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "creators", "aqua").startswith("aquarelle\t")
    assert len(json.loads(said(capsys, "creators", "--limit", "8", "--json"))) == 8
    assert "base:\tSDXL 1.0" in said(capsys, "search", "--names")
