from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from registry.errors import DamagedFileError
from registry.headers import Header, read_alpha, read_alphas, read_header


def _write(path: Path, header: Any, data: bytes = b"") -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


def _tensor(start: int, stop: int, dtype: str = "U8", shape: list[int] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [stop - start] if shape is None else shape, "data_offsets": [start, stop]}


def test_a_header_is_read_without_its_tensors(tmp_path: Path) -> None:
    tensors = {
        "b": _tensor(4, 12, "F16", [2, 2]),
        "a": _tensor(0, 4, "F32", []),
        "empty": _tensor(12, 12, "F32", [0, 7]),
    }
    path = _write(tmp_path / "a.safetensors", {"__metadata__": {"x": "ü"}, **tensors}, bytes(12))
    header = read_header(path)
    assert header.metadata == {"x": "ü"}
    assert header.tensors["b"].shape == (2, 2)
    assert header.tensors["b"].offsets == (4, 12)
    assert path.read_bytes()[8 : 8 + header.size].endswith(b"}")


def test_trailing_spaces_as_the_reference_writer_pads_them_are_fine(tmp_path: Path) -> None:
    assert read_header(_write(tmp_path / "a.safetensors", b"{}      ")).tensors == {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "too few"),
        (b"\x01\x00\x00", "too few"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "more than any real file has"),
        ((50).to_bytes(8, "little") + b"{}", "but has only 10 in all"),
    ],
)
def test_an_impossible_header_length_is_damage(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=problem):
        read_header(path)


@pytest.mark.parametrize(
    ("header", "data", "problem"),
    [
        (b"[]", 0, "no JSON object"),
        (b"{", 0, "not readable"),
        (b'{"a\xff":1}', 0, "not readable"),
        pytest.param(b'{"a":' + b"[" * 100_000, 0, "not readable", id="deep"),
        ({"a": 5}, 0, "not readable"),
        ({"__metadata__": {"a": 1}}, 0, "not readable"),
        ({"a": _tensor(0, 8)}, 4, "ends too early"),
        ({"a": _tensor(0, 4)}, 8, "belong to no tensor"),
        ({"a": _tensor(0, 8), "b": _tensor(4, 12)}, 12, "overlaps"),
        ({"a": _tensor(0, 4), "b": _tensor(8, 12)}, 12, "out of line"),
        ({"a": _tensor(0, 4), "b": _tensor(4, 2)}, 4, "out of line"),
        ({"a": _tensor(0, 4, "F32", [2])}, 4, "can't fill"),
        ({"a": _tensor(0, 4, "U8", [-2, -2])}, 4, "has the shape"),
        ({"a": {"dtype": "U8", "shape": [4]}}, 4, "lacks its data_offsets"),
        ({"a": {"dtype": "U8", "data_offsets": [0, 4]}}, 4, "lacks its shape"),
        ({"a": {"shape": [4], "data_offsets": [0, 4]}}, 4, "lacks its dtype"),
        ({"a": {}}, 0, "lacks its data_offsets"),
        (b'{"a":%(t)b,"a":%(t)b}' % {b"t": json.dumps(_tensor(0, 4)).encode()}, 4, "twice"),
    ],
)  # fmt: skip
def test_a_header_that_contradicts_the_format_is_damage_said_in_one_line(
    tmp_path: Path, header: Any, data: int, problem: str
) -> None:
    path = _write(tmp_path / "bad.safetensors", header, bytes(data))
    with pytest.raises(DamagedFileError, match=problem) as error:
        read_header(path)
    assert "bad.safetensors" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_type_that_is_newer_than_this_program_is_no_damage(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.safetensors", {"a": _tensor(0, 4, "F2_NEW", [16])}, bytes(4))
    assert read_header(path).tensors["a"].dtype == "F2_NEW"


def test_a_tensor_may_be_called_like_a_word_of_the_format(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.safetensors", {"data_offsets": _tensor(0, 4)}, bytes(4))
    assert list(read_header(path).tensors) == ["data_offsets"]


def test_an_entry_of_the_metadata_may_be_called_like_a_field_of_a_tensor(tmp_path: Path) -> None:
    metadata = {"shape": "[1]", "data_offsets": "x", "dtype": "y"}
    path = _write(tmp_path / "a.safetensors", {"__metadata__": metadata, "a": _tensor(0, 4)}, bytes(4))
    header = read_header(path)
    assert (header.metadata, list(header.tensors)) == (metadata, ["a"])


def test_all_alphas_are_read(tmp_path: Path) -> None:
    tensors = {"a.alpha": _tensor(0, 4, "F32", []), "b.alpha": _tensor(4, 6, "F16", []), "c.alpha": _tensor(6, 8)}
    path = _write(tmp_path / "a.safetensors", tensors, struct.pack("<f", 4.5) + struct.pack("<e", 2.0) + b"ab")
    assert read_alphas(path, read_header(path)) == [4.5, 2.0]


@pytest.mark.parametrize(
    ("dtype", "raw", "value"),
    [
        ("F32", struct.pack("<f", 4.5), 4.5),
        ("F16", struct.pack("<e", 16.0), 16.0),
        ("BF16", struct.pack("<f", 8.0)[2:], 8.0),
        ("I64", struct.pack("<q", 3), 3.0),
        ("F32", struct.pack("<f", float("nan")), None),
        ("U8", b"\x01", None),
    ],
)
def test_alpha_is_read_from_its_own_bytes(tmp_path: Path, dtype: str, raw: bytes, value: float | None) -> None:
    tensors = {"w": _tensor(0, 4), "m.alpha": _tensor(4, 4 + len(raw), dtype, [])}
    path = _write(tmp_path / "a.safetensors", tensors, bytes(4) + raw)
    assert read_alpha(path, read_header(path)) == value


def test_no_alpha_is_none(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.safetensors", {"w.alpha": _tensor(0, 4)}, bytes(4))
    assert read_alpha(path, read_header(path)) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
_ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "U8", "BF16", "F4", "x"]),
        "shape": st.lists(st.integers(-1, 1 << 65), max_size=3),
        "data_offsets": st.lists(st.integers(-1, 40), min_size=1, max_size=3),
    }
)
_NEARLY = st.dictionaries(st.sampled_from(["__metadata__", "a", "b", "\ud800"]), _ENTRY | _JSON, max_size=4)


def _damaged_or_sound(path: Path) -> None:
    try:
        header = read_header(path)
    except DamagedFileError:
        return
    assert isinstance(header, Header)
    json.dumps(header.metadata, ensure_ascii=False).encode()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
@example(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
def test_any_bytes_are_a_header_or_damage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzz.safetensors"
    path.write_bytes(content)
    _damaged_or_sound(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_JSON | _NEARLY, st.binary(max_size=40))
def test_any_json_is_a_header_or_damage(tmp_path: Path, header: Any, data: bytes) -> None:
    _damaged_or_sound(_write(tmp_path / "fuzz.safetensors", header, data))
