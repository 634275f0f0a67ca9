"""Each fault of the sandbox does what it says, as often as told, and is counted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from hubman.cli.sandbox import sandbox as command
from hubman.sandbox import Rule
from hubman.sandbox.faults import hostile, rules
from registry.errors import UsageError
from tests.support.civitai import Bench, bench

_MODEL = "/api/v1/models/100001"
_ENUMS = "/api/v1/enums"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("shop")) as running:
        running.sandbox.seed_catalogue(12, seed=1)
        yield running


@pytest.fixture
def faulty(shop: Bench) -> Iterator[Callable[..., Bench]]:
    """The sandbox under these rules, for one test."""

    def under(*specs: str, seed: int = 0) -> Bench:
        shop.sandbox.settings.rules, shop.sandbox.settings.seed = rules.parse_all(specs), seed
        shop.sandbox.world.struck.clear()
        return shop

    yield under
    shop.sandbox.settings.rules = []


def _kinds(shop: Bench) -> list[str]:
    return [kind for kind, _method, _path in shop.sandbox.struck]


def _file(shop: Bench) -> tuple[str, bytes]:
    """The address of a file, and its true bytes."""
    kept, shop.sandbox.settings.rules = shop.sandbox.settings.rules, []
    version = shop.get(_MODEL).json()["modelVersions"][0]
    location = shop.get(f"/api/download/models/{version['id']}").headers["Location"]
    body = shop.http.get(location).content
    shop.sandbox.settings.rules = kept
    return location, body


@pytest.mark.parametrize(
    ("spec", "status", "retry", "kind"),
    [
        ("429", 429, "1", "json"), ("429=7", 429, "7", "json"), ("429-bare", 429, None, "json"), ("500", 500, None, "json"),
        ("502", 502, None, "html"), ("503", 503, "2", "json"), ("503-bare", 503, None, "json"), ("451", 451, None, "json"),
        ("cloudflare-403", 403, None, "html"), ("cloudflare-503", 503, None, "html"), ("html", 200, None, "html"),
    ],
)  # fmt: skip
def test_answers_in_the_site_s_place(
    faulty: Callable[..., Bench], spec: str, status: int, retry: str | None, kind: str
) -> None:
    shop = faulty(spec)
    answer = shop.get(_ENUMS)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry)
    assert kind in answer.headers["Content-Type"]
    assert ("<html" in answer.text) == (kind == "html")
    assert status != 451 or answer.json()["code"] == "REGION_BLOCKED"
    assert shop.sandbox.struck == [(spec.partition("=")[0], "GET", _ENUMS)]


def test_an_empty_answer_is_no_json(faulty: Callable[..., Bench]) -> None:
    answer = faulty("empty").get(_ENUMS)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_reset_connection_brings_no_answer(faulty: Callable[..., Bench]) -> None:
    shop = faulty("reset:1x")
    with pytest.raises(httpx.TransportError):
        shop.get(_ENUMS)
    assert shop.get(_ENUMS).status_code == 200
    assert ("GET", _ENUMS, 0) in shop.sandbox.requests


def test_a_lost_answer_leaves_the_work_done(faulty: Callable[..., Bench]) -> None:
    shop = faulty("lost:1x")
    draft = {"json": {"name": "Lost", "type": "LORA", "uploadType": "Created", "status": "Draft"}}
    with pytest.raises(httpx.TransportError):
        shop.post("/api/trpc/model.upsert", draft)
    assert len(shop.sandbox.models_named("Lost")) == 1


def test_a_cut_body_is_shorter_than_announced(faulty: Callable[..., Bench]) -> None:
    shop = faulty("cut:1x")
    with pytest.raises(httpx.RemoteProtocolError):
        shop.get(_ENUMS)
    assert _kinds(shop) == ["cut"]


def test_cut_json_has_the_length_it_says_and_can_not_be_read(faulty: Callable[..., Bench]) -> None:
    answer = faulty("cut-json").get(_ENUMS)
    assert int(answer.headers["Content-Length"]) == len(answer.content) > 0
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)


def test_latency_waits_as_told_before_each_answer(faulty: Callable[..., Bench]) -> None:
    shop = faulty("latency=1")
    assert [shop.get(_ENUMS).status_code for _ in range(3)] == [200] * 3
    assert _kinds(shop) == ["latency"] * 3


def _leaves(value: Any, path: tuple[object, ...] = ()) -> dict[tuple[object, ...], Any]:
    if isinstance(value, dict):
        inner: Any = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    else:
        return {path: value}
    found: dict[tuple[object, ...], Any] = {path: type(value)}
    for key, item in inner:
        found |= _leaves(item, (*path, key))
    return found


@pytest.mark.parametrize("kind", ["missing", "null", "wrong-type", "added", "hostile", "wrong-hash"])
def test_fields_go_wrong_in_each_way(faulty: Callable[..., Bench], kind: str) -> None:
    true = _leaves(faulty().get(_MODEL).json())
    shop = faulty(kind)
    answer = shop.get(_MODEL)
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    told = _leaves(answer.json())
    assert _kinds(shop) == [kind]
    changed = {path for path in set(true) & set(told) if true[path] != told[path]}
    if kind == "missing":
        assert set(told) < set(true)
    elif kind == "added":
        assert set(told) > set(true)
        assert not changed
    elif kind == "null":
        assert {told[path] for path in changed} == {None}
    elif kind == "wrong-type":
        assert changed
    elif kind == "hostile":
        assert changed
        assert {told[path] for path in changed} <= set(hostile.NAMES)
    else:
        assert {path[-2] for path in changed} == {"hashes"}
        again = _leaves(shop.get(_MODEL).json())
        assert again == told


def test_hostile_names_are_of_every_sort() -> None:
    every = "".join(hostile.NAMES)
    for mark in ("../", "..\\", "C:\\", "\x00", "\x1b[", "\u202e", "CON", "<script>", "[bold"):
        assert mark in every
    assert max(map(len, hostile.NAMES)) > 300
    assert any(name.endswith(".") and name.strip(".") for name in hostile.NAMES)


def test_a_told_hash_that_changes_is_right_when_asked_again(faulty: Callable[..., Bench]) -> None:
    true = faulty().get(_MODEL).json()
    shop = faulty("hash-changes")
    first, second = shop.get(_MODEL).json(), shop.get(_MODEL).json()
    assert first != true
    assert second == true


def test_an_address_has_expired(faulty: Callable[..., Bench]) -> None:
    shop = faulty("expired:1x")
    location, body = _file(shop)
    assert shop.http.get(location).status_code == 403
    assert shop.http.get(location).content == body


def test_a_file_breaks_off_in_its_middle(faulty: Callable[..., Bench]) -> None:
    shop = faulty("reset-file:1x")
    location, body = _file(shop)
    got = bytearray()

    def read() -> None:
        with shop.http.stream("GET", location) as answer:
            for piece in answer.iter_raw():
                got.extend(piece)

    with pytest.raises(httpx.TransportError):
        read()
    assert body.startswith(bytes(got))
    assert len(got) < len(body)
    assert _kinds(shop) == ["reset-file"]


def test_a_file_ends_early_as_if_that_were_all(faulty: Callable[..., Bench]) -> None:
    shop = faulty("short-file")
    location, body = _file(shop)
    answer = shop.http.get(location)
    assert body.startswith(answer.content)
    assert int(answer.headers["Content-Length"]) == len(answer.content) < len(body)


def test_one_byte_of_a_file_is_wrong(faulty: Callable[..., Bench]) -> None:
    shop = faulty("wrong-bytes")
    location, body = _file(shop)
    got = shop.http.get(location).content
    assert sum(left != right for left, right in zip(got, body, strict=True)) == 1
    part = shop.http.get(location, headers={"Range": "bytes=4-9"})
    assert (part.status_code, len(part.content)) == (206, 6)


def test_a_range_may_be_ignored(faulty: Callable[..., Bench]) -> None:
    shop = faulty("no-range")
    location, body = _file(shop)
    answer = shop.http.get(location, headers={"Range": "bytes=4-9"})
    assert (answer.status_code, answer.content) == (200, body)


def test_a_slow_body_comes_whole(faulty: Callable[..., Bench]) -> None:
    shop = faulty("slow=10000000")
    location, body = _file(shop)
    assert shop.http.get(location).content == body
    assert "slow" in _kinds(shop)


def test_several_faults_meet_in_one_answer(faulty: Callable[..., Bench]) -> None:
    shop = faulty("latency=1", "added", "null=0.5")
    assert shop.get(_MODEL).status_code == 200
    assert _kinds(shop) == ["latency", "added", "null"]


def test_which_requests_are_struck_follows_from_the_seed_not_from_their_order(faulty: Callable[..., Bench]) -> None:
    paths = [f"/api/v1/models/{number}" for number in range(100001, 100013)] * 4

    def struck(order: list[str], seed: int) -> list[tuple[str, str, str]]:
        shop = faulty("503:0.5", seed=seed)
        for path in order:
            shop.get(path)
        return sorted(shop.sandbox.struck)

    first = struck(paths, 1)
    assert 12 < len(first) < 36
    assert struck(paths[::-1], 1) == first
    assert struck(paths, 2) != first


def test_a_rule_strikes_so_many_times_and_only_where_told(faulty: Callable[..., Bench]) -> None:
    shop = faulty("503:2x:/models/", "429:1:/enums")
    answers = [shop.get(path).status_code for path in (_MODEL, "/api/v1/tags", _MODEL, _MODEL, _ENUMS)]
    assert answers == [503, 200, 503, 200, 429]
    assert [rule.struck for rule in shop.sandbox.settings.rules] == [2, 1]


# how they are set ------------------------------------------------------------------------------------------------------


def test_a_running_sandbox_is_told_and_asked_over_its_own_route(faulty: Callable[..., Bench]) -> None:
    shop = faulty()
    body = {
        "rules": ["503:2x", {"kind": "null", "rate": 0.5, "path": "/models"}],
        "seed": 9,
        "settings": {"devalue": True},
    }
    assert shop.post("/sandbox/faults", body, key="").status_code == 401
    assert shop.post("/sandbox/faults", body, key="other").status_code == 401
    state = shop.post("/sandbox/faults", body).json()
    assert ([rule["kind"] for rule in state["rules"]], state["seed"]) == (["503", "null"], 9)
    assert shop.sandbox.settings.devalue
    assert [shop.get(_ENUMS).status_code for _ in range(3)] == [503, 503, 200]
    assert shop.get("/sandbox/state", key="").status_code == 401
    told = shop.get("/sandbox/state", key="creator").json()
    assert told["faults"] == {"503": 2}
    assert told["holds"]["models"] >= 12
    assert told["asked"]["GET /api/v1/enums"] >= 3
    assert told["requests"] >= told["busiestSecond"] > 0
    shop.post("/sandbox/faults", {"rules": [], "settings": {"devalue": False}})
    assert (shop.sandbox.settings.rules, shop.sandbox.settings.devalue) == ([], False)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"rules": ["storm"]},
        {"rules": 5},
        {"rules": [{"rate": 1}]},
        {"settings": {"clock": 1}},
        {"settings": {"x": 1}},
    ],
)
def test_what_is_told_wrong_changes_nothing(faulty: Callable[..., Bench], body: Any) -> None:
    shop = faulty("503::/nowhere")
    answer = shop.post("/sandbox/faults", body)
    assert answer.status_code == 400
    assert [rule.kind for rule in shop.sandbox.settings.rules] == ["503"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("429", Rule("429")), ("429:0.1", Rule("429", rate=0.1)), ("reset:5x", Rule("reset", times=5)),
        ("latency=250", Rule("latency", amount=250)), ("503::/models", Rule("503", path="/models")),
        ("503:/models", Rule("503", path="/models")),
        ("slow=1e", None), ("503:2", None), ("503:x", None), ("storm", None), ("", None), ("slow=1.2.3", None),
    ],
)  # fmt: skip
def test_a_fault_is_written_on_one_line(text: str, rule: Rule | None) -> None:
    if rule is None:
        with pytest.raises(UsageError):
            rules.parse(text)
    else:
        assert rules.parse(text) == rule


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_fault_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert rules.parse(text).kind in rules.KINDS


def test_the_command_lists_faults_and_refuses_wrong_ones(tmp_path: Path) -> None:
    listed = CliRunner().invoke(command, ["--list-faults", "--json"])
    assert {item["kind"] for item in json.loads(listed.output)} == set(rules.KINDS)
    assert "Retry-After" in CliRunner().invoke(command, ["--list-faults"]).output
    wrong = CliRunner().invoke(command, ["--fault", "storm"])
    assert isinstance(wrong.exception, UsageError)
    file = tmp_path / "faults.json"
    file.write_text('["429:0.5", {"kind": "slow", "amount": 5}]')
    assert [rule.kind for rule in rules.read(file)] == ["429", "slow"]
    file.write_text("429")
    assert isinstance(CliRunner().invoke(command, ["--faults", str(file)]).exception, UsageError)


def test_the_command_fills_it_says_how_to_use_it_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("HUBMAN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("time.sleep", leave)
    told = CliRunner().invoke(command, ["--catalogue", "5", "--fault", "429:0.5"]).output
    assert "it holds 5 models" in told
    assert "hubman search --sandbox" in told
    assert "these go wrong: 429" in told
    again = json.loads(CliRunner().invoke(command, ["--json"]).output.partition("\nAborted")[0])
    assert (again["holds"]["models"], again["faults"]) == (5, [])
    assert not (tmp_path / "home" / "sandbox" / "running.json").exists()
