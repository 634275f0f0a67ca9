"""Following pages: short, empty, repeated, foreign, and the one that is fetched ahead."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hubman.civitai.errors import UnavailableError
from hubman.civitai.held import held
from hubman.civitai.media_urls import still
from hubman.civitai.pages import Pages, every
from hubman.civitai.paging import following
from hubman.civitai.records import ModelPage, RemoteFile, RemoteModel, RemoteVersion
from hubman.civitai.sift import Sift
from registry import library
from registry.scan import index_file
from tests.support.civitai import quick_registry, write_lora


class Site:
    """Pages by their address; the first has an empty one. Notes what was asked for."""

    def __init__(self, *pages: tuple[str, list[int], str]) -> None:
        self.pages = {url: ModelPage(items=_models(ids), next_page=next_page) for url, ids, next_page in pages}
        self.asked: list[str] = []
        self.was_asked = {url: threading.Event() for url in self.pages}

    def __call__(self, url: str) -> ModelPage:
        self.asked.append(url)
        self.was_asked[url].set()
        return self.pages[url]


def _models(ids: list[int]) -> tuple[RemoteModel, ...]:
    return tuple(RemoteModel(id=number, tags=("odd",) if number % 2 else ()) for number in ids)


def _ids(models: tuple[RemoteModel, ...]) -> list[int]:
    return [model.id for model in models]


def test_the_following_page_is_asked_for_while_one_is_looked_at() -> None:
    site = Site(("", [1], "b"), ("b", [2], "c"), ("c", [3], ""))
    pages = Pages(site)
    assert _ids(pages.next().models) == [1]
    assert site.was_asked["b"].wait(10)
    assert not site.was_asked["c"].is_set(), "one page ahead, not all"
    assert _ids(pages.next().models) == [2]
    last = pages.next()
    assert (_ids(last.models), last.more, pages.has_more) == ([3], False, False)
    assert site.asked == ["", "b", "c"]
    assert pages.next().models == ()


def test_without_looking_ahead_nothing_is_asked_for_in_vain() -> None:
    site = Site(("", [1, 2], "b"), ("b", [3], ""))
    assert [model.id for model in every(Pages(site, ahead=False), 2)] == [1, 2]
    assert site.asked == [""]


def test_empty_pages_are_stepped_over_and_models_that_come_again_left_out() -> None:
    site = Site(("", [], "b"), ("b", [], "c"), ("c", [1, 2], "d"), ("d", [2, 3], ""))
    pages = Pages(site)
    assert _ids(pages.next().models) == [1, 2]
    assert _ids(pages.next().models) == [3]


def test_a_step_gives_up_over_very_many_empty_pages_and_goes_on_when_asked() -> None:
    site = Site(*[(str(n) if n else "", [], str(n + 1)) for n in range(15)], ("15", [9], ""))
    pages = Pages(site, ahead=False)
    first = pages.next()
    assert (first.models, first.more, len(site.asked)) == ((), True, 10)
    assert _ids(pages.next().models) == [9]


@pytest.mark.parametrize(("limit", "hits", "asked"), [(20, 0, 100), (20, 20, 20), (500, 3, 103), (500, 500, 500)])
def test_a_search_that_finds_little_is_given_up(limit: int, hits: int, asked: int) -> None:
    site = Site(*[(str(n) if n else "", [n] if n < hits else [], str(n + 1)) for n in range(600)])
    pages = Pages(site, ahead=False)
    assert len(list(every(pages, limit))) == hits
    assert pages.has_more
    assert asked <= len(site.asked) == pages.asked < asked + 10, "one step looks at ten pages"


@pytest.mark.parametrize("back", ["", "b", "c"])
def test_a_circle_of_pages_ends_once(back: str) -> None:
    to = back or "a"
    site = Site(("", [1], "a" if not back else "b"), ("a", [2], "a"), ("b", [3], "c"), ("c", [4], to))
    pages = Pages(site)
    batches = []
    while pages.has_more:
        batches.append(pages.next())
        assert len(batches) < 9
    assert batches[-1].looped


def test_what_is_left_out_is_counted_over_pages() -> None:
    site = Site(("", [1, 3], "b"), ("b", [5, 6], ""))
    batch = Pages(site, Sift(without_tags=("odd",))).next()
    assert (_ids(batch.models), batch.others) == ([6], 3)


def test_a_page_that_failed_is_asked_for_again() -> None:
    site = Site(("", [1], "b"), ("b", [2], ""))
    fails = [True, True]

    def ask(url: str) -> ModelPage:
        if url == "b" and fails:
            fails.pop()
            raise UnavailableError("no answer", "try again later")
        return site(url)

    pages = Pages(ask)
    pages.next()
    for _ in range(2):
        with pytest.raises(UnavailableError):
            pages.next()
    assert _ids(pages.next().models) == [2]


ASKED = "https://civitai.com/api/v1/models?limit=5&types=LORA&types=DoRA&cursor=old"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"nextPage": "https://civitai.com/api/v1/models?x=%20y&cursor=1"}, "https://civitai.com/api/v1/models?x=%20y&cursor=1"),
        ({"nextPage": "https://evil.example/models?cursor=9", "nextCursor": "9|2"}, f"{ASKED[:-3]}9%7C2"),
        ({"nextPage": "https://evil.example/models?cursor=9"}, ""),
        ({"nextCursor": 40}, f"{ASKED[:-3]}40"),
        ({"nextCursor": "\ud800"}, f"{ASKED[:-3]}%3F"),
        ({"nextPage": 7, "nextCursor": True}, ""),
        ({"nextPage": "x" * 9000}, ""),
        ({}, ""),
        ("nonsense", ""),
        (None, ""),
    ],
)  # fmt: skip
def test_next_page_is_followed_verbatim_and_never_to_another_host(metadata: object, expected: str) -> None:
    def is_own(url: str) -> bool:
        return url.startswith("https://civitai.com/")

    assert following({"items": [], "metadata": metadata}, ASKED, is_own) == expected
    assert following([1], ASKED, is_own) == ""


# what is here already ---------------------------------------------------------------------------------------------


def _model(number: int, **hashes: str) -> RemoteModel:
    file = RemoteFile(name="a.safetensors", type="Model", hashes=hashes)
    config = RemoteFile(name="a.yaml", type="Config", hashes={"SHA256": "0" * 64})
    return RemoteModel(id=number, versions=(RemoteVersion(id=number, files=(file, config)),))


def test_what_is_here_is_known_by_any_hash_and_by_number(tmp_path: Path) -> None:
    with quick_registry(tmp_path / "home") as registry:
        path = write_lora(tmp_path / "a.safetensors", seed=5)
        version = index_file(registry, path)
        file = library.version(registry, str(version)).files[0]
        row = registry.db.execute("SELECT autov3 FROM files").fetchone()
        library.set_facts(registry, str(version), "civitai", {"civitai_version_id": 40})
        models = [
            _model(10, SHA256=file.sha256.upper()),
            _model(20, AutoV2=file.sha256[:10].upper()),
            _model(30, SHA256="f" * 64, AutoV3=row[0][:12].upper()),
            _model(40, SHA256="e" * 64),
            _model(50, SHA256="d" * 64, AutoV2=file.sha256[:10]),
            _model(60, SHA256="not hex", AutoV3="%"),
        ]
        assert held(registry, models, by_number=True) == dict.fromkeys([10, 20, 30, 40], "here")
        assert set(held(registry, models, by_number=False)) == {10, 20, 30}, "numbers of a rehearsal mean nothing"
        registry.db.execute("UPDATE places SET state = 'missing'")
        assert held(registry, models[:2], by_number=True) == dict.fromkeys([10, 20], "known")


@pytest.mark.parametrize(
    ("url", "kind", "expected"),
    [
        ("https://i/xG/u/original=true/7.jpeg", "image", "https://i/xG/u/width=450/7.jpeg"),
        ("https://i/xG/u/original=true,quality=90/7.png", "image", "https://i/xG/u/width=450/7.jpeg"),
        ("https://i/xG/u/original=true/7.mp4", "video", "https://i/xG/u/anim=false,transcode=true,width=450/7.jpeg"),
        ("https://i/xG/u/original=true/7.mp3", "audio", ""),
        ("https://i/elsewhere/7.png", "image", "https://i/elsewhere/7.png"),
        ("https://i/elsewhere/7.mp4", "video", ""),
        ("", "image", ""),
        ("http://[bad/original=true/7.jpeg", "image", "http://[bad/original=true/7.jpeg"),
    ],
)
def test_small_stills_are_asked_for_by_the_address(url: str, kind: str, expected: str) -> None:
    assert still(url, kind) == expected
