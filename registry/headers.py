"""Safetensors headers, read and checked without loading a tensor.

Layout: 8 bytes little-endian header length, a JSON object, then the data. The checks are those of the reference
implementation, so a file that passes loads everywhere and a file that fails loads nowhere.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from registry.errors import DamagedFileError
from registry.hashing import MAX_HEADER

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


_BEGINNING = 4096


_NO_SHAPE = (-1,)
_NO_OFFSETS = (-1, -1)


class TensorInfo(msgspec.Struct, frozen=True, gc=False):
    """What the header says of one tensor; ``offsets`` are where its bytes begin and end, counted from the data on.

    The defaults stand for what an entry lacks; no header that has one is ever returned.
    """

    dtype: str = ""
    shape: tuple[int, ...] = _NO_SHAPE
    offsets: tuple[int, int] = msgspec.field(name="data_offsets", default=_NO_OFFSETS)


class Header(msgspec.Struct, frozen=True):
    """A checked header. ``size`` is the length of its JSON in bytes: the data begins at byte ``8 + size``."""

    metadata: dict[str, str]
    tensors: dict[str, TensorInfo]
    size: int


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file.

    Raises :class:`DamagedFileError` saying what contradicts the format, and :class:`OSError`.
    """
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        start = file.read(8)
        if len(start) < 8:
            raise _damaged(path, f"it has {len(start)} bytes, too few for a safetensors file")
        size = int.from_bytes(start, "little")
        if size > MAX_HEADER:
            raise _damaged(path, f"it claims a header of {size:,} bytes, more than any real file has")
        if size > length - 8:
            raise _damaged(path, f"it claims a header of {size:,} bytes, but has only {length:,} in all")
        # What is no object for sure is not read: it may be as long as it claims to be.
        raw = file.read(min(size, _BEGINNING))
        if raw.lstrip().startswith(b"{") or not raw.strip():
            raw += file.read(size - len(raw))
    try:
        return _parse(raw, length - 8 - size)
    except ValueError as error:
        raise _damaged(path, str(error)) from None


def read_alpha(path: Path, header: Header) -> float | None:
    """The first ``alpha`` tensor's value (a handful of bytes), or None if there is none that can be read."""
    found = next(_alpha_tensors(header), None)
    if found is None:
        return None
    with path.open("rb") as file:
        return _number(file, header, found)


def read_alphas(path: Path, header: Header) -> list[float]:
    """The values of all ``alpha`` tensors that can be read, in the order of the header.

    One short read each, from all over the file: for a look at one file, not for a scan.
    """
    with path.open("rb") as file:
        values = (_number(file, header, tensor) for tensor in _alpha_tensors(header))
        return [value for value in values if value is not None]


def _alpha_tensors(header: Header) -> Iterator[TensorInfo]:
    for name, tensor in header.tensors.items():
        if name.endswith(".alpha") and math.prod(tensor.shape) == 1:
            yield tensor


def _number(file: BinaryIO, header: Header, tensor: TensorInfo) -> float | None:
    file.seek(8 + header.size + tensor.offsets[0])
    value = _scalar(tensor.dtype, file.read(min(tensor.offsets[1] - tensor.offsets[0], 8)))
    return value if value is not None and math.isfinite(value) else None


def _scalar(dtype: str, raw: bytes) -> float | None:
    if dtype == "BF16":
        dtype, raw = "F32", b"\0\0" + raw
    code = {"F16": "<e", "F32": "<f", "F64": "<d", "I32": "<i", "I64": "<q"}.get(dtype)
    return float(struct.unpack(code, raw)[0]) if code and len(raw) == struct.calcsize(code) else None


def _damaged(path: Path, problem: str) -> DamagedFileError:
    return DamagedFileError(f"{path.name} is damaged: {problem}", "download or export it again")


def _parse(raw: bytes, data_length: int) -> Header:
    """Raises :class:`ValueError` with a line that ends the sentence "the file is damaged:"."""
    if not raw.lstrip().startswith(b"{"):
        raise ValueError("its header is no JSON object")
    try:
        metadata, tensors = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"its header is not readable ({error})") from error
    if raw.count(b'"data_offsets"') != len(tensors):
        _refuse_duplicates(raw)
    _check_offsets(tensors, data_length)
    return Header(metadata, tensors, len(raw))


class _Metadata(msgspec.Struct):
    content: dict[str, str] = msgspec.field(default_factory=dict, name="__metadata__")


_decode_metadata = msgspec.json.Decoder(_Metadata).decode
_decode_tensors = msgspec.json.Decoder(dict[str, TensorInfo]).decode
_decode_entries = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_tensor = msgspec.json.Decoder(TensorInfo).decode


def _decode(raw: bytes) -> tuple[dict[str, str], dict[str, TensorInfo]]:
    metadata = _decode_metadata(raw).content
    try:
        # The metadata passes as a tensor that lacks everything: one pass takes a third of the time of one for each entry.
        tensors = _decode_tensors(raw)
    except msgspec.ValidationError:
        # Something is wrong, or the metadata has an entry called like a field of a tensor.
        entries = _decode_entries(raw)
        entries.pop("__metadata__", None)
        return metadata, {name: _decode_tensor(entry) for name, entry in entries.items()}
    tensors.pop("__metadata__", None)
    return metadata, tensors


def _offsets(entry: tuple[str, TensorInfo]) -> tuple[int, int]:
    return entry[1].offsets


def _refuse_duplicates(raw: bytes) -> None:
    """The fast decoder keeps the last of two equal names; this slow one sees both."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = set()
        for name, _ in pairs:
            if name in names:
                raise ValueError(f"its header names {name!r} twice")
            names.add(name)
        return dict(pairs)

    json.loads(raw, object_pairs_hook=unique)


def _check_offsets(tensors: dict[str, TensorInfo], data_length: int) -> None:
    end = 0
    lengths: dict[tuple[str, tuple[int, ...]], int] = {}
    for name, tensor in sorted(tensors.items(), key=_offsets):
        start, stop = tensor.offsets
        if start != end or stop < start:
            raise ValueError(f"tensor {name!r} {_misplaced(start, end)}")
        # Layers come in a few shapes, so each is measured once.
        kind = (tensor.dtype, tensor.shape)
        bits = lengths.get(kind)
        if bits is None:
            bits = lengths[kind] = _bits(name, tensor)
        if bits != (stop - start) * 8 and bits != _UNKNOWN:
            raise ValueError(f"tensor {name!r} of {tensor.dtype} {list(tensor.shape)} can't fill {stop - start} bytes")
        end = stop
    if end != data_length:
        kind_ = "ends too early" if end > data_length else "has bytes that belong to no tensor"
        raise ValueError(f"the file {kind_}: its tensors take {end:,} bytes of {data_length:,}")


_UNKNOWN = -1


def _bits(name: str, tensor: TensorInfo) -> int:
    """How many bits a tensor takes; of a type that is newer than this program nobody knows."""
    if not tensor.dtype or tensor.shape is _NO_SHAPE:
        raise ValueError(f"tensor {name!r} lacks its {'shape' if tensor.dtype else 'dtype'}")
    if tensor.shape and min(tensor.shape) < 0:
        raise ValueError(f"tensor {name!r} has the shape {list(tensor.shape)}")
    size = _BITS.get(tensor.dtype)
    return _UNKNOWN if size is None else math.prod(tensor.shape) * size


def _misplaced(start: int, end: int) -> str:
    if start < 0:
        return "lacks its data_offsets"
    return "overlaps another" if start < end else "lies out of line"
