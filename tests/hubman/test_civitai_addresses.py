"""Where requests may go, and with which key."""

from __future__ import annotations

import keyring
import pytest
from keyring.backend import KeyringBackend

from hubman.civitai import auth
from hubman.civitai.client import Civitai
from hubman.civitai.errors import CivitaiError
from hubman.civitai.transport import Transport
from registry.errors import UsageError


@pytest.mark.parametrize(
    "url", ["http://x:99999/a", "http://[::1/a", "foo.jpg", "http://x/\0", "file:///etc/passwd", "http://", ""]
)
def test_an_address_that_is_none_is_an_error_of_the_client(url: str) -> None:
    with Civitai("http://127.0.0.1:9", "secret", sleep=lambda _: None) as client, pytest.raises(CivitaiError):
        client.media(url)
    assert not Transport("http://127.0.0.1:9").is_own(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://x:99999",
        "https://",
        "https://[::1",
        "ftp://civitai.com",
        "https://key@civitai.com",
        "http://civitai.com",
    ],
)
def test_a_site_that_is_none_or_would_see_the_key_in_the_clear_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", url)
    with pytest.raises(UsageError):
        auth.site_url()


class _Drawer(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password


def test_each_site_has_a_key_of_its_own_and_civitai_one_under_all_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIVITAI_API_KEY", raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(_Drawer())
    try:
        keys = {}
        for url, key in (("https://civitai.com", "real"), ("https://other.example", "other")):
            monkeypatch.setenv("HUBMAN_CIVITAI_URL", url)
            auth.store_api_key(key)
        for url in ("https://civitai.com", "https://civitai.red", "https://other.example", "http://localhost:8080"):
            monkeypatch.setenv("HUBMAN_CIVITAI_URL", url)
            keys[url.partition("//")[2]] = auth.api_key()
    finally:
        keyring.set_keyring(before)
    assert keys == {"civitai.com": "real", "civitai.red": "real", "other.example": "other", "localhost:8080": ""}
