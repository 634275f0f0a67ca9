"""Names, licences, cards and tokens of the Hugging Face Hub."""

from __future__ import annotations

import keyring
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from keyring.backend import KeyringBackend

from hubman import secrecy
from hubman.civitai.form import FormFile, PublishForm, VersionPart
from hubman.huggingface import auth, bases, card, errors, names
from registry.errors import UsageError


@given(st.text(max_size=200))
@settings(max_examples=100)
def test_every_name_makes_a_repository_that_the_hub_takes(name: str) -> None:
    made = names.repository(name, "lora-12345678")
    assert names.chosen(made) == ("", made)
    assert names.file(name) not in {"", ".", ".."}
    assert not set("/\\\n") & set(names.file(name))


@pytest.mark.parametrize("repo", ["", "a/b/c", "-a", "a--b", "a..b", "a.git", "a b", "ü", "x" * 97, "a/"])
def test_a_name_that_the_hub_refuses_is_refused(repo: str) -> None:
    with pytest.raises(UsageError):
        names.chosen(repo)


_TEXT = st.text(max_size=40)
_WORDS = st.text(st.characters(exclude_categories=("C", "Z")), max_size=40)


@given(
    name=_TEXT, words=st.lists(_WORDS, max_size=5), text=_TEXT, base=st.sampled_from(["SD 1.5", "Other", "Flux.1 D"])
)
@settings(max_examples=60)
def test_a_card_s_front_matter_reads_back(name: str, words: list[str], text: str, base: str) -> None:
    file = FormFile(path="x", name="x.safetensors", sha256="ab" * 32, size=1)
    part = VersionPart(version_id="v", name=name, file=file, base_model=base, trained_words=tuple(words))
    form = PublishForm(model_id="m", name=name, parts=(part,), description=text)
    made = card.compose(form, {"v": "x.safetensors"}, [], repo="a/b")
    front = yaml.safe_load(made[4:].partition("\n---\n")[0])
    assert front.get("instance_prompt", "") == ", ".join(words)
    assert front.get("base_model") == (bases.repository(base) or None)


@pytest.mark.parametrize(
    ("base", "licence"),
    [("SDXL 1.0", "openrail++"), ("Flux.1 S", "apache-2.0"), ("Flux.1 D", "other"), ("Other", "")],
)
def test_the_licence_of_the_base_model_is_the_card_s(base: str, licence: str) -> None:
    found = bases.licence(base)
    assert (found.id, bool(found.name)) == (licence, licence == "other")


def test_a_token_goes_to_nobody_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    with pytest.raises(UsageError, match="unencrypted"):
        auth.endpoint()


class _Drawer(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


def test_the_variable_wins_over_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(_Drawer())
    try:
        auth.store_token(" hf_fromkeyring ")
        assert auth.token() == "hf_fromkeyring"
        monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
        assert auth.token() == ""
        monkeypatch.setenv("HF_TOKEN", "hf_given")
        assert auth.token() == "hf_given"
    finally:
        keyring.set_keyring(before)


def test_what_the_library_says_is_cleaned() -> None:
    text = "403 for url https://s3.example/x?X-Amz-Signature=abc\nwith hf_abcd1234efgh."
    assert errors.said(text) == "403 for url https://s3.example/x with …"
    secrecy.remember("anotherhubskey")
    assert errors.said("anotherhubskey is no token") == "… is no token"
