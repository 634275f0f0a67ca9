"""Verify reads files again and tells what is no longer sound, whatever their size and time say."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import edits, library, roots, scan, verify, weights
from registry import soundness as reading
from registry.database import Registry
from registry.hashing import hash_file
from registry.verify import Finding

_MODULE = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
DOWN, UP = f"{_MODULE}.lora_down.weight", f"{_MODULE}.lora_up.weight"


def _write(path: Path, tensors: Mapping[str, list[float]], dtype: str = "F32") -> Path:
    """A file whose tensors are matrices of two rows with these numbers."""
    header, data = {}, b""
    for name, numbers in tensors.items():
        raw = b"".join(_packed(dtype, number) for number in numbers)
        header[name] = {
            "dtype": dtype, "shape": [2, len(numbers) // 2], "data_offsets": [len(data), len(data) + len(raw)],
        }  # fmt: skip
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def _packed(dtype: str, number: float) -> bytes:
    if dtype == "BF16":
        return struct.pack("<f", number)[2:]
    return struct.pack({"F16": "<e", "F32": "<f", "F64": "<d"}[dtype], number)


@pytest.fixture
def loras(registry: Registry, tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    folder.mkdir()
    roots.add(registry, folder)
    return folder


SOUND = {DOWN: [0.5, 1.0, -2.0, 4.0], UP: [1.0, 0.0, 0.0, 1.0]}


def _behind_the_back(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change a file's bytes and leave its time as it was, as failing hardware does."""
    before = path.stat()
    with path.open("r+b") as file:
        content = change(file.read())
        file.seek(0)
        file.write(content)
        file.truncate()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _flags(registry: Registry) -> str:
    (row,) = library.list_models(registry)
    return row.flags


def _problem(registry: Registry) -> str | None:
    (row,) = library.list_models(registry)
    return library.version(registry, row.version_id).files[0].places[0].problem


def test_sound_files_are_sound_and_stamped(registry: Registry, loras: Path) -> None:
    _write(loras / "a.safetensors", SOUND)
    (loras / "b.ckpt").write_bytes(b"a pickle is only hashed")
    scan.scan(registry)
    found = verify.verify(registry)
    assert (found.sound, found.findings, found.changed, found.absent) == (2, (), (), 0)
    assert found.unopened == 1, "of a pickle only the hash is known to be right"
    (row,) = library.list_models(registry, "name:a")
    assert library.version(registry, row.version_id).files[0].places[0].verified_at is not None


def test_bit_rot_is_found_kept_through_scans_and_gone_with_a_sound_file(registry: Registry, loras: Path) -> None:
    path = _write(loras / "a.safetensors", SOUND)
    content = path.read_bytes()
    scan.scan(registry)
    verify.verify(registry)
    edits.edit(registry, *library.resolve(registry, "a"), {"notes": "mine"})
    _behind_the_back(path, lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]))
    assert scan.scan(registry).unchanged == 1
    (finding,) = verify.verify(registry).findings
    assert (finding.path, finding.kind) == (str(path), "rot")
    assert scan.scan(registry).damaged == 1
    assert _flags(registry) == "!"
    assert _problem(registry) == finding.problem
    path.write_bytes(content)
    os.utime(path, ns=(1, 10**18))
    scan.scan(registry)
    assert (_flags(registry), _problem(registry)) == ("", None)
    assert [row.name for row in library.list_models(registry, "has:notes")] == ["a"]


def test_a_rotten_header_is_told_as_well(registry: Registry, loras: Path) -> None:
    path = _write(loras / "a.safetensors", SOUND)
    scan.scan(registry)
    _behind_the_back(path, lambda raw: raw[:8] + b"!" + raw[9:])
    (finding,) = verify.verify(registry).findings
    assert finding.kind == "rot"
    assert "no JSON object" in finding.problem


def test_a_file_cut_off_before_it_was_scanned_is_damaged(registry: Registry, loras: Path) -> None:
    path = _write(loras / "a.safetensors", SOUND)
    os.truncate(path, path.stat().st_size - 4)
    scan.scan(registry)
    (finding,) = verify.verify(registry).findings
    assert finding.kind == "damaged"
    assert "ends too early" in finding.problem


def test_a_file_cut_off_since_it_was_scanned_is_damaged(registry: Registry, loras: Path) -> None:
    path = _write(loras / "a.safetensors", SOUND)
    scan.scan(registry)
    os.truncate(path, path.stat().st_size - 4)
    found = verify.verify(registry)
    assert [finding.kind for finding in found.findings] == ["cut"]
    assert _problem(registry) == found.findings[0].problem
    assert "ends too early" in found.findings[0].problem
    assert scan.scan(registry).damaged == 1


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({DOWN: [0.5, math.nan, 1.0, 1.0], UP: SOUND[UP]}, f"not finite (NaN or infinity) in {DOWN}"),
        ({DOWN: SOUND[DOWN], UP: [1.0, 1.0, -math.inf, 1.0]}, f"not finite (NaN or infinity) in {UP}"),
        ({DOWN: [0.0] * 4, UP: SOUND[UP]}, f"only zeros in {DOWN}"),
        ({DOWN: SOUND[DOWN], UP: [0.0] * 4}, "was never trained"),
        ({DOWN: [0.0] * 4, UP: [0.0] * 4}, "no weight other than zero"),
    ],
)
@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_numbers_that_are_no_good_are_told_in_every_type(
    registry: Registry, loras: Path, tensors: dict[str, list[float]], problem: str, dtype: str
) -> None:
    _write(loras / "a.safetensors", tensors, dtype)
    scan.scan(registry)
    assert _flags(registry) == ""
    (finding,) = verify.verify(registry).findings
    assert finding.kind == "weights"
    assert problem in finding.problem
    assert _flags(registry) == "!"
    scan.scan(registry, rehash=True)
    assert _problem(registry) == finding.problem


def test_one_module_that_was_not_trained_is_no_damage(registry: Registry, loras: Path) -> None:
    other = {name.replace("attn2", "attn1"): numbers for name, numbers in SOUND.items()}
    _write(loras / "a.safetensors", {DOWN: SOUND[DOWN], UP: [0.0] * 4, **other})
    scan.scan(registry)
    assert verify.verify(registry).findings == ()


def test_what_changed_or_went_since_the_scan_is_not_judged(registry: Registry, loras: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        _write(loras / f"{name}.safetensors", {DOWN: [ord(name), 1.0], UP: [1.0, 1.0]})
    scan.scan(registry)
    (loras / "d.safetensors").unlink()
    scan.scan(registry)
    _write(loras / "a.safetensors", {DOWN: [math.nan] * 8})
    (loras / "b.safetensors").unlink()
    found = verify.verify(registry)
    assert (found.sound, found.findings, found.absent) == (1, (), 1)
    assert found.changed == (str(loras / "a.safetensors"), str(loras / "b.safetensors"))


def test_only_what_a_query_asks_for_is_read(registry: Registry, loras: Path) -> None:
    for name in ("good", "bad"):
        _write(loras / f"{name}.safetensors", {DOWN: [math.nan if name == "bad" else 1.0] * 2})
    scan.scan(registry)
    assert verify.verify(registry, "name:good").findings == ()
    assert [finding.path for finding in verify.verify(registry, "bad").findings] == [str(loras / "bad.safetensors")]


def test_a_file_that_cannot_be_read_is_told_and_read_again_by_the_next_scan(
    registry: Registry, loras: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(loras / "a.safetensors", SOUND)
    scan.scan(registry)

    def fail(_path: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(reading, "read_header", fail)
        (finding,) = verify.verify(registry).findings
    assert finding == Finding(path=str(path), kind="unreadable", problem="can't be read (Input/output error)")
    assert _flags(registry) == "!"
    scan.scan(registry)
    assert _flags(registry) == ""


def test_verify_changes_no_file(registry: Registry, loras: Path) -> None:
    path = _write(loras / "a.safetensors", SOUND)
    scan.scan(registry)
    before = (path.stat().st_mtime_ns, hash_file(path))
    verify.verify(registry)
    assert (path.stat().st_mtime_ns, hash_file(path)) == before


@given(st.lists(st.floats(width=16), max_size=40), st.sampled_from(["F16", "BF16", "F32", "F64"]))
def test_finite_is_what_the_standard_library_says_is_finite(numbers: list[float], dtype: str) -> None:
    raw = b"".join(_packed(dtype, number) for number in numbers)
    assert weights.are_finite(dtype, raw) == all(map(math.isfinite, numbers))


@given(st.binary(max_size=64))
def test_any_bytes_are_judged_as_the_standard_library_judges_them(raw: bytes) -> None:
    for dtype, code, size in (("F16", "e", 2), ("F32", "f", 4), ("F64", "d", 8)):
        whole = raw[: len(raw) // size * size]
        numbers = struct.unpack(f"<{len(whole) // size}{code}", whole)
        assert weights.are_finite(dtype, whole) == all(map(math.isfinite, numbers))
