"""The answers of Civitai as its contract shows them, the client's call that meets each, and ways to damage them."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx

from hubman.civitai.client import Civitai
from hubman.civitai.image_search import ImageSearch
from hubman.civitai.search import ModelSearch

_FOLDER = Path(__file__).parent.parent / "data" / "civitai"
Call = Callable[[Civitai], Any]

CALLS: dict[str, Call] = {
    "me": lambda site: site.me(),
    "search": lambda site: site.search(ModelSearch(query="harbor")),
    "images": lambda site: site.images(ImageSearch(version_id=910001)),
    "creators": lambda site: site.creators("har"),
    "tags": lambda site: site.tags("sty"),
    "model": lambda site: site.model(900001),
    "version": lambda site: site.model_version(910001),
    "by_hash": lambda site: site.by_hash("22D8CB95B8"),
    "ids": lambda site: site.by_hash_ids(["A" * 64]),
    "enums": lambda site: site.enums(),
    "download": lambda site: site.model_version(910001),
    "query": lambda site: site.query("model.getById", {"id": 1}),
    "upsert_model": lambda site: site.upsert_model({"name": "x"}),
    "upsert_version": lambda site: site.upsert_version({"name": "x"}),
    "create_file": lambda site: site.create_file({"name": "x"}),
    "create_post": lambda site: site.create_post(version_id=1, title="x"),
    "add_image": lambda site: site.add_image({"postId": 1}),
    "update_post": lambda site: site.update_post(1, {"title": "x"}),
    "publish_model": lambda site: site.publish_model(1, [2]),
    "publish_version": lambda site: site.publish_version(1),
    "owned_model": lambda site: site.owned_model(900001),
    "edit_version": lambda site: site.edit_version(910001),
    "post": lambda site: site.post(930001),
    "drafts": lambda site: site.draft_models("Harbor Style"),
    "categories": lambda site: site.categories(),
    "image_upload": lambda site: site.upload_image(b"x", name="a.png", mime_type="image/png"),
}
"""By the name that the examples give it. Those of calls that the client does not make are read as JSON alone."""


@dataclass(frozen=True)
class Example:
    name: str
    call: str
    status: int
    headers: dict[str, str]
    body: Any

    @functools.cached_property
    def text(self) -> str:
        return json.dumps(self.body)

    def ask(self, site: Civitai) -> Any:
        call = CALLS.get(self.call, CALLS["enums"])
        return call(site)


@functools.cache
def examples() -> tuple[Example, ...]:
    return tuple(
        Example(name=name, **case)
        for path in sorted(_FOLDER.glob("*.json"))
        for name, case in json.loads(path.read_text()).items()
    )


_request = functools.lru_cache(httpx.Request)


@contextlib.contextmanager
def answering(status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[None]:
    """Every request is answered like this, without a network."""

    def request(_client: httpx.Client, method: str, url: str, **_options: Any) -> httpx.Response:
        given = {"Content-Type": "application/json", **(headers or {})}
        return httpx.Response(status, headers=given, content=body, request=_request(method, url))

    with mock.patch.object(httpx.Client, "request", request):
        yield


_STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e308, float("nan"), float("inf"), 2**63, -(2**70), 10**40, "", "x", "1", "²", "null",
    "\ud800", "\x1b[31m\x00\u202e", "a" * 5000, "9" * 5000, "../../x", "{Image,Sell}", [], {}, [[]], [None], {"json": None},
    {"error": {"error": {"message": [1]}}}, "[0]", "[[0]]", '[{"a":9}]', "-1", "-9",
)  # fmt: skip


_WRAPS: tuple[Callable[[Any], Any], ...] = (
    lambda deep: [deep],
    lambda deep: {"a": deep},
    lambda deep: {"error": deep},
    lambda deep: {"json": deep, "path": [deep] if isinstance(deep, str) else 5},
)


def damaged(body: str, luck: random.Random) -> bytes:
    """The JSON ``body`` with one to four things wrong in it, as bytes that may not even be JSON."""
    root = [json.loads(body)]
    for _ in range(luck.randint(1, 4)):
        _damage(_place(root, luck), luck)
    text = json.dumps(root[0])
    match luck.randint(0, 19):
        case 0:
            return text.encode()[: luck.randrange(len(text) + 1)]
        case 1:
            return b"<!DOCTYPE html><html>" + text.encode()[:200]
        case 2:
            return bytes(luck.randrange(256) if luck.random() < 0.05 else byte for byte in text.encode()[:2000])
        case 3:
            return b"[" * 3000 + b"]" * luck.choice([0, 3000])
    return text.encode(errors="surrogatepass")


def _place(value: Any, luck: random.Random) -> tuple[Any, Any]:
    """A container in ``value`` and one of its keys."""
    while True:
        key = luck.choice(list(value)) if isinstance(value, dict) else luck.randrange(len(value))
        below = value[key]
        if not isinstance(below, (dict, list)) or not below or luck.random() < 0.2:
            return value, key
        value = below


def _damage(place: tuple[Any, Any], luck: random.Random) -> None:
    container, key = place
    item = container[key]
    match luck.randint(0, 6):
        case 0 if len(container) > 1:
            del container[key]
        case 1:
            container[key] = [item] if luck.random() < 0.5 else {"json": item, "items": item}
        case 2 if isinstance(container, list):
            container.insert(key, json.loads(json.dumps(item)))
        case 2 if isinstance(container, dict):
            container[f"new_{key}"] = json.loads(json.dumps(item))
        case 3:
            container[key] = json.dumps(item)
        case 4:
            wraps = luck.choice([5, 50, 300])
            container[key] = functools.reduce(lambda deep, wrap: wrap(deep), luck.choices(_WRAPS, k=wraps), item)
        case _:
            container[key] = copy.deepcopy(luck.choice(_STRANGE))
