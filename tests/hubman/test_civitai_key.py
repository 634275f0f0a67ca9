"""The key: taken as it is pasted, kept in the keyring, described in words, sent only where it belongs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import PasswordDeleteError

from hubman.civitai import auth, errors
from hubman.civitai.client import Civitai
from hubman.civitai.connection import proxy_in_use
from hubman.civitai.transport import Transport
from hubman.cli.main import run
from registry.errors import HubError, UsageError
from tests.support.civitai import Bench, bench

KEY = "0123456789abcdef0123456789abcdef"


class Drawer(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if not self.held.pop((service, username), None):
            raise PasswordDeleteError("none")


class _Sieve(Drawer):
    """Takes everything and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        del service, username, password


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def drawer() -> Iterator[Drawer]:
    before, drawer = keyring.get_keyring(), Drawer()
    keyring.set_keyring(drawer)
    yield drawer
    keyring.set_keyring(before)


@pytest.fixture
def at_site(site: Bench, home: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    del home
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", site.sandbox.url)
    return site


def _login(monkeypatch: pytest.MonkeyPatch, typed: str, *options: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return run(["login", *options])


@pytest.mark.parametrize(
    "pasted",
    [
        KEY,
        f"  {KEY}\r\n",
        f'"{KEY}"',
        f"'{KEY}'",
        f"`{KEY}`",
        f"\u201c{KEY}\u201d",
        f"Bearer {KEY}",
        f"bearer  {KEY}",
        f"Authorization: Bearer {KEY}",
        f'"Bearer {KEY}"',
        f"Bearer '{KEY}'",
        f"\ufeff{KEY}\u200b",
    ],
)
def test_a_key_is_taken_as_it_is_pasted(pasted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert auth.clean_key(pasted) == KEY
    monkeypatch.setenv("CIVITAI_API_KEY", pasted)
    assert auth.api_key() == KEY


@pytest.mark.parametrize(
    "pasted", [f"{KEY}\n{KEY}", "schlüssel" * 4, f"{KEY} {KEY}", f"{KEY}\x00", f"{KEY}\r\nHost: evil"]
)
def test_what_can_not_be_a_key_is_refused_without_repeating_it(pasted: str) -> None:
    with pytest.raises(UsageError) as caught:
        Transport("https://civitai.com", pasted)
    assert KEY not in str(caught.value)
    assert "schl" not in str(caught.value)


def test_login_checks_stores_and_describes(
    at_site: Bench, drawer: Drawer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token = at_site.sandbox.token()
    assert _login(monkeypatch, f"Bearer {token}\n", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["key"]["username"], told["key"]["can_publish"], told["shadowed"]) == ("creator", True, False)
    assert list(drawer.held.values()) == [token]
    assert run(["whoami"]) == 0
    shown = capsys.readouterr().out
    assert "creator" in shown
    assert "publish models" in shown
    assert "from the keyring" in shown
    assert run(["doctor"]) == 0
    shown += capsys.readouterr().out
    assert run(["logout", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"forgotten": True, "environment": False}
    assert (drawer.held, run(["logout"])) == ({}, 0)
    assert run(["whoami"]) == 1
    assert token not in shown


@pytest.mark.parametrize(
    ("key", "advice"), [("read-only", "may also publish models, publish pictures"), ("muted", "is muted")]
)
def test_a_key_that_can_not_publish_is_kept_and_explained(
    at_site: Bench,
    drawer: Drawer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
    advice: str,
) -> None:
    assert _login(monkeypatch, at_site.sandbox.token(key)) == 0
    shown = capsys.readouterr().out
    assert advice in shown
    assert "publishing: no" in shown
    assert drawer.held


def test_a_key_that_the_site_does_not_know_is_not_stored(
    at_site: Bench, drawer: Drawer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _login(monkeypatch, KEY) == 1
    told = capsys.readouterr()
    assert "does not accept the API key" in told.err
    assert KEY not in told.err + told.out
    assert _login(monkeypatch, "\n") == 2
    assert drawer.held == {}


@pytest.mark.parametrize("none", [NoKeyring, _Sieve])
def test_a_machine_without_a_keyring_says_what_to_do(
    at_site: Bench,
    drawer: Drawer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    none: type[KeyringBackend],
) -> None:
    del drawer
    keyring.set_keyring(none())
    assert _login(monkeypatch, at_site.sandbox.token()) == 1
    assert "set CIVITAI_API_KEY" in capsys.readouterr().err
    monkeypatch.setenv("CIVITAI_API_KEY", at_site.sandbox.token())
    assert run(["whoami", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "environment"


def test_the_page_that_makes_a_key_has_the_right_permissions_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", "https://civitai.red/")
    assert auth.key_page() == "https://civitai.red/user/account?addApiKey=1&name=hubman&scope=Creator"


# where it goes ---------------------------------------------------------------------------------------------------------


class _Web:
    """Hosts that redirect, and what each was sent."""

    def __init__(self, moves: dict[str, str]) -> None:
        self.moves, self.keys = moves, []  # type: ignore[var-annotated]

    def __call__(self, method: str, url: str, **options: Any) -> httpx.Response:
        request = httpx.Request(method, url)
        if options.get("auth"):
            request = next(options["auth"].auth_flow(request))
        self.keys.append((request.url.host, request.headers.get("Authorization", "")))
        if target := self.moves.get(request.url.host):
            return httpx.Response(301, headers={"Location": target}, request=request)
        return httpx.Response(200, json={"id": 5, "name": "x"}, request=request)


def _ask(site: str, moves: dict[str, str]) -> _Web:
    web = _Web(moves)
    with mock.patch.object(httpx.Client, "request", web), Civitai(site, KEY, sleep=lambda _seconds: None) as client:
        client.model(5)
    return web


@pytest.mark.parametrize(("site", "target"), [("civitai.com", "civitai.red"), ("civitai.red", "civitai.com")])
def test_the_key_goes_along_between_civitai_s_own_names(site: str, target: str) -> None:
    web = _ask(f"https://{site}", {site: f"https://{target}/api/v1/models/5"})
    assert web.keys == [(site, f"Bearer {KEY}"), (target, f"Bearer {KEY}")]


@pytest.mark.parametrize(
    ("site", "target"),
    [
        ("https://civitai.com", "http://civitai.red/x"),
        ("https://civitai.com", "https://civitai.red.evil.example/x"),
        ("https://civitai.com", "https://civitai.red@evil.example/x"),
        ("https://civitai.com", "https://civitai.red:8443/x"),
        ("https://civitai.com", "https://sub.civitai.com/x"),
        ("https://other.example", "https://civitai.com/x"),
        ("http://localhost:8080", "https://civitai.com/x"),
        ("https://civitai.com", "http://[::1"),
    ],
)
def test_a_read_is_not_followed_to_another_site_and_the_key_stays(site: str, target: str) -> None:
    web = _Web({httpx.URL(site).host: target})
    transport = Transport(site, KEY)
    assert not transport.is_own(target)
    with (
        mock.patch.object(httpx.Client, "request", web),
        Civitai(site, KEY, sleep=lambda _seconds: None) as client,
        pytest.raises(errors.PageError),
    ):
        client.model(5)
    assert len(web.keys) == 1


def test_redirects_without_end_end() -> None:
    with pytest.raises(errors.CivitaiError, match="without end"):
        _ask("https://civitai.com", {"civitai.com": "https://civitai.red/", "civitai.red": "https://civitai.com/"})


def test_what_makes_something_is_not_sent_on() -> None:
    web = _Web({"civitai.com": "https://civitai.red/x"})
    with (
        mock.patch.object(httpx.Client, "request", web),
        Civitai("https://civitai.com", KEY) as client,
        pytest.raises(errors.CivitaiError),
    ):
        client.upsert_model({"name": "x"})
    assert len(web.keys) == 1


# proxies ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_a_proxy_of_the_environment_is_used_and_its_password_never_shown(no_proxy: pytest.MonkeyPatch) -> None:
    no_proxy.setenv("HTTPS_PROXY", "http://user:hunter2secret@127.0.0.1:9")
    assert proxy_in_use("https://civitai.com") == "http://…@127.0.0.1:9"
    with Civitai("https://civitai.com", KEY, sleep=lambda _s: None) as client, pytest.raises(HubError) as caught:
        client.model(5)
    assert "hunter2secret" not in str(caught.value)
    no_proxy.setenv("NO_PROXY", "civitai.com")
    assert proxy_in_use("https://civitai.com") == ""


def test_a_site_on_this_machine_needs_no_proxy(no_proxy: pytest.MonkeyPatch, site: Bench) -> None:
    no_proxy.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    no_proxy.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with site.client() as client:
        assert client.me().username == "creator"
    assert proxy_in_use(site.sandbox.url) == ""


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("socks5://user:hunter2secret@h:1", "pip install 'httpx[socks]'"),
        ("nonsense://user:hunter2secret@h:1", "no valid address"),
        ("http://user:hunter2secret@h:port", "no valid address"),
    ],
)
def test_a_proxy_that_can_not_be_used_is_named_without_its_password(
    no_proxy: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    no_proxy.setenv("ALL_PROXY", proxy)
    with mock.patch.dict("sys.modules", {"socksio": None}), pytest.raises(HubError) as caught:
        Civitai("https://civitai.com", KEY)
    assert said in str(caught.value)
    assert "hunter2secret" not in str(caught.value)
