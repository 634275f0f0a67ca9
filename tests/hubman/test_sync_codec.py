"""What a codec makes of bytes: exactly as large as it said, back again only whole and where it belongs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubman.sync.records import layout
from hubman.sync.secrecy import age_keys, age_writer
from hubman.sync.secrecy.codec import PLAIN, Codec, blob_objects
from hubman.sync.secrecy.codecs import codec_with
from hubman.sync.secrecy.repo_key import RepoKey, from_words, new_key
from registry.errors import UsageError

KEY = RepoKey(bytes(range(32)))
REPO = "01JREPOREPOREPOREPOREPORE0"
SEALED = codec_with("age", REPO, KEY)
SIGNED = codec_with("hmac", REPO, KEY)
CHUNK = 64 << 10
SIZES = st.one_of(
    st.integers(0, 300),
    st.sampled_from([n * CHUNK + d for n in (1, 2, 3) for d in (-1, 0, 1)]),
    st.integers(0, 4 * CHUNK),
)


def cut(data: bytes, length: int) -> Iterator[bytes]:
    for start in range(0, len(data), length):
        yield data[start : start + length]


@pytest.mark.parametrize("codec", [PLAIN, SIGNED, SEALED])
@settings(deadline=None, max_examples=40)
@given(SIZES, st.integers(1, 2 * CHUNK), st.binary(min_size=1, max_size=40))
def test_a_blob_has_the_size_that_was_said_and_comes_back(codec: Codec, size: int, piece: int, pattern: bytes) -> None:
    data = (pattern * (size // len(pattern) + 1))[:size]
    stored = b"".join(codec.seal_stream(cut(data, max(piece, size // 50)), size))
    assert len(stored) == codec.stored_size(size)
    assert codec.open_blob(stored, size) == data


@pytest.mark.parametrize("codec", [PLAIN, SIGNED, SEALED])
@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=2000), st.text(max_size=20))
def test_a_record_comes_back_within_its_bounds(codec: Codec, data: bytes, label: str) -> None:
    stored = codec.seal(data, label)
    assert len(stored) <= codec.cap(len(data))
    assert codec.open(stored, len(data), label) == data
    if data:
        with pytest.raises(layout.UnreadableError):
            codec.open(stored, len(data) - 1, label)


@pytest.mark.parametrize("codec", [SIGNED, SEALED])
@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.data())
def test_a_record_that_was_changed_cut_or_moved_is_refused(codec: Codec, data: bytes, draw: st.DataObject) -> None:
    stored = codec.seal(data, "log/a/1")
    at = draw.draw(st.integers(0, len(stored) - 1))
    flipped = stored[:at] + bytes([stored[at] ^ draw.draw(st.integers(1, 255))]) + stored[at + 1 :]
    for changed in (flipped, stored[:at], stored + b"x"):
        with pytest.raises(layout.UnreadableError):
            codec.open(changed, 1 << 20, "log/a/1")
    with pytest.raises(layout.UnreadableError):
        codec.open(stored, 1 << 20, "log/a/2")
    for other in (codec_with("age", REPO, new_key()), codec_with("hmac", "01JOTHER", KEY)):
        with pytest.raises(layout.UnreadableError):
            other.open(stored, 1 << 20, "log/a/1")


def test_who_knows_only_whom_to_encrypt_for_writes_nothing_that_is_believed() -> None:
    recipient = pyrage.x25519.Identity.from_str(age_keys.identity(KEY.derive(f"age {REPO}"))).to_public()
    forged = pyrage.encrypt(bytes(32) + b"forged", [recipient])
    with pytest.raises(layout.UnreadableError, match="was not written there by a machine that has the remote's key"):
        SEALED.open(forged, 100, "heads/a")


def test_a_fetched_part_is_opened_into_its_place_or_refused(tmp_path: Path) -> None:
    data = bytes(CHUNK) + b"end"
    part = tmp_path / "part"
    stored = b"".join(SEALED.seal_stream([data], len(data)))
    part.write_bytes(stored)
    target = io.BytesIO(b"before")
    target.seek(6)
    SEALED.open_file(part, target)
    assert target.getvalue() == b"before" + data
    for wrong in (stored[:-1], stored[: age_writer.stored_size(CHUNK)], stored[:50], b""):
        part.write_bytes(wrong)
        with pytest.raises(layout.UnreadableError, match="can't be decrypted"):
            SEALED.open_file(part, io.BytesIO())
    part.write_bytes(stored)
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space"):
        SEALED.open_file(part, full)


def test_an_error_of_the_file_comes_through_the_sealing() -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(3 * CHUNK)
        raise UsageError("it changed")

    with pytest.raises(UsageError, match="it changed"):
        list(SEALED.seal_stream(pieces(), 1 << 20))


def test_names_on_an_encrypted_remote_are_known_to_its_key_only() -> None:
    sha256 = "ab" * 32
    names = [one.key for one in blob_objects(SEALED, sha256, 250, 100)]
    assert [name.rpartition("/")[2] for name in names] == ["00000", "00001", "00002"]
    assert all(layout.is_known(name) for name in names)
    assert sha256 not in names[0]
    assert names[0] != codec_with("age", REPO, new_key()).blob_key(layout.blob_keys(sha256, 250, 100)[0][0])
    assert [one.stored for one in blob_objects(SEALED, sha256, 250, 100)] == [300, 300, 250]


@settings(max_examples=30)
@given(st.binary(min_size=32, max_size=32))
def test_words_and_age_itself_give_the_same_key_back(raw: bytes) -> None:
    key = RepoKey(raw)
    words = str(key.words())
    assert from_words(words.upper().replace(" ", "\n ")) == key
    assert str(pyrage.x25519.Identity.from_str(age_keys.identity(raw))) == age_keys.identity(raw)
    assert repr(key) == "RepoKey()"


@pytest.mark.parametrize("words", ["", "abandon", "abandon " * 24, "abandon " * 23 + "zzz"])
def test_words_that_are_no_key_are_refused_without_repeating_them(words: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_words(words)
    assert "abandon" not in str(caught.value)
    assert caught.value.hint
