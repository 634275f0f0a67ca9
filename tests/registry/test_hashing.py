from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from blake3 import blake3

from registry import hashing
from registry.hashing import hash_file

_HEADER = b'{"t":{"dtype":"U8","shape":[3145728],"data_offsets":[0,3145728]}}'
_DATA = bytes(i % 251 for i in range(3145728))


@pytest.fixture(scope="module")
def vector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hashes") / "vector.safetensors"
    path.write_bytes(len(_HEADER).to_bytes(8, "little") + _HEADER + _DATA)
    return path


def test_the_published_vector_has_its_published_hashes(vector: Path) -> None:
    hashes = hash_file(vector)
    assert hashes.size == 3145801
    assert hashes.sha256.upper() == "FB3603C617FDDE6DDED0F950ABA2C5F077EACDD69EF01519DBCC9CED8EF9A086"
    assert hashes.autov1 == "d2212b36"
    assert hashes.autov2 == "fb3603c617"
    assert hashes.autov3 == "a1feacf0d812ba4d0b0e463ed45bbd583cea1de55c54693116754b30b5794745"
    assert hashes.blake3.upper() == "A02914F7D82DA1A57E954DA47116725FB0982F93FD7B4789AA4A8902D32834C6"
    assert hashes.crc32 == "D6C3E694"


@pytest.mark.parametrize("chunk", [1 << 10, 0x100001, 999_983])
def test_where_the_file_is_cut_into_chunks_changes_no_hash(
    vector: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = hash_file(vector)
    monkeypatch.setattr(hashing, "CHUNK", chunk)
    assert hash_file(vector) == expected


def test_crc32_prints_its_bytes_little_endian(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    path.write_bytes(b"hello world")
    assert hash_file(path).crc32 == "85114A0D"


def test_editing_the_metadata_keeps_the_tensor_hash(vector: Path, tmp_path: Path) -> None:
    header = b'{"__metadata__":{"a":"b"},' + _HEADER[1:]
    edited = tmp_path / "edited.safetensors"
    edited.write_bytes(len(header).to_bytes(8, "little") + header + _DATA)
    assert hash_file(edited).autov3 == hash_file(vector).autov3
    assert hash_file(edited).sha256 != hash_file(vector).sha256


@pytest.mark.parametrize(
    "content", [b"", b"x", b"PK\x03\x04" + bytes(100), (1 << 60).to_bytes(8, "little") + b"{}", bytes(8) + b"["]
)
def test_other_formats_have_no_tensor_hash(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    hashes = hash_file(path)
    assert hashes.autov3 is None
    assert hashes.autov1 is None
    assert hashes.sha256 == hashlib.sha256(content).hexdigest()
    assert hashes.blake3 == blake3(content).hexdigest()
