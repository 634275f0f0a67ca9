from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.errors import DamagedFileError
from registry.gguf import Gguf, read_gguf


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(8, "little") + raw


def _gguf(*entries: bytes, tensors: int = 780) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, len(entries)) + b"".join(entries)


def _entry(name: str, value: str) -> bytes:
    return _text(name) + (8).to_bytes(4, "little") + _text(value)


_NUMBER = _text("general.file_type") + (4).to_bytes(4, "little") + (7).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (_gguf(_entry("general.architecture", "flux")), Gguf("flux", 780, "flux", "checkpoint")),
        (_gguf(_NUMBER, _entry("general.architecture", "qwen_image")), Gguf("qwen_image", 780, "qwen", "checkpoint")),
        (_gguf(_entry("general.architecture", "t5encoder")), Gguf("t5encoder", 780, None, "text-encoder")),
        (_gguf(_entry("general.architecture", "new")), Gguf("new", 780, None, "other")),
        (_gguf(_entry("general.name", "x"), tensors=3), Gguf(None, 3)),
        (_gguf(), Gguf(None, 780)),
    ],
)
def test_a_gguf_file_tells_its_architecture(tmp_path: Path, content: bytes, found: Gguf) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    assert read_gguf(path) == found


def test_only_the_beginning_is_looked_through(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(_gguf(_entry("tokens", "x" * 4000), *[_NUMBER] * 5000, _entry("general.architecture", "flux")))
    assert read_gguf(path).stated is None


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGML" + bytes(40)])
def test_what_does_not_begin_so_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"a\.gguf is damaged"):
        read_gguf(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(0, (1 << 64) - 1))
def test_any_bytes_are_a_gguf_file_or_damage(tmp_path: Path, rest: bytes, entries: int) -> None:
    path = tmp_path / "fuzz.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, entries) + rest)
    assert isinstance(read_gguf(path), Gguf)
