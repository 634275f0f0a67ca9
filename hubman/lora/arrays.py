"""The tensors of a LoRA file as NumPy arrays, for what is said of files without a model and without torch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubman.lora.common_names import CommonName, common_name
from hubman.lora.halves import Array, is_suspicious, widen, widen_split
from hubman.lora.keys import Site, split_name
from hubman.lora.kinds import UNKNOWN, kind_of
from hubman.lora.peft_header import PeftHeader
from registry.errors import DamagedFileError, HubError, NotFoundError
from registry.headers import Header, TensorInfo, read_header

_PLAIN = {
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
}
_PIECE = 1 << 16
"""Numbers."""

_FLOAT8 = {"F8_E4M3": (4, 7, True), "F8_E5M2": (5, 15, False)}
"""Bits of the exponent, its bias, and whether infinities are left out (OCP's 8-bit floating point, 2023)."""


@dataclass(frozen=True)
class ArrayModule:
    """A module of the file: its names, and the names of its tensors by part (``down``, ``hada_w1_a``, …)."""

    name: str
    common: CommonName
    tensors: Mapping[str, str]

    @property
    def site(self) -> Site:
        """As far as settings of PEFT ask for it: the shape is not known without the model."""
        return Site(self.common.component, self.common.path, ())


class ArrayFile:
    """An open file. What :meth:`parts` gives is overwritten by its next call: reading into memory that is there
    already takes half the time.
    """

    def __init__(self, path: Path, header: Header, file: int) -> None:
        self.path = path
        self.header = header
        self._file = file
        self._raw = memoryview(bytearray(8 * _PIECE))
        self._piece = np.empty(_PIECE, np.float32)
        self._peft = PeftHeader.of(header.metadata, path)
        self._room: dict[str, Array] = {}
        self.modules, self.strange = _modules(path, header)

    def parts(self, module: ArrayModule) -> tuple[dict[str, Array], float | None]:
        """The tensors of a module in float32, and its alpha if the file says one.

        Raises ``DamagedFileError`` for an alpha that is no number.
        """
        parts = {part: self._array(part, self.header.tensors[name]) for part, name in module.tensors.items()}
        stored = parts.pop("alpha", None)
        alpha = None if stored is None else _number(stored, self.path, module)
        if "dora_vector" in parts:
            parts["dora_scale"] = parts.pop("dora_vector").reshape(-1, 1)
        if {"lokr_w1", "lokr_w2"} <= parts.keys():
            parts["lokr_w1"] = parts["lokr_w1"] * np.float32(self._peft.full_scale(module.site))
        return parts, self._peft.alpha(module.site, parts) if alpha is None else alpha

    def shape(self, module: ArrayModule, part: str) -> tuple[int, int]:
        """Of a tensor with all axes but the first in one. Raises ``KeyError`` if it is not there."""
        first, *others = self.header.tensors[module.tensors[part]].shape
        return first, math.prod(others)

    def alpha(self, module: ArrayModule) -> float | None:
        """As :meth:`parts` gives it, without its other tensors."""
        if "alpha" in module.tensors:
            stored = self._array("alpha", self.header.tensors[module.tensors["alpha"]])
            return _number(stored, self.path, module)
        tensors = {part: self.header.tensors[name] for part, name in module.tensors.items()}
        return self._peft.alpha(module.site, tensors)

    def times(self, module: ArrayModule, part: str, right: Array) -> Array:
        """Tensor · right, of a tensor that is never in memory as a whole; ``right`` are directions."""
        if self._can_split(module, part):
            first, second = np.ascontiguousarray(right[0::2]), np.ascontiguousarray(right[1::2])
            found = np.concatenate([a @ first + b @ second for _, (a, b) in self._split_rows(module, part)])
            if not is_suspicious(found):
                return found
        return np.concatenate([piece @ right for _, piece in self._rows(module, part)])

    def under(self, module: ArrayModule, part: str, left: Array) -> Array:
        """leftᵀ · tensor, likewise."""
        found = np.zeros((left.shape[1], self.shape(module, part)[1]), np.float32)
        if self._can_split(module, part):
            for start, (first, second) in self._split_rows(module, part):
                above = left[start : start + len(first)].T
                found[:, 0::2] += above @ first
                found[:, 1::2] += above @ second
            if not is_suspicious(found):
                return found
            found[:] = 0
        for start, piece in self._rows(module, part):
            found += left[start : start + len(piece)].T @ piece
        return found

    def _can_split(self, module: ArrayModule, part: str) -> bool:
        tensor, columns = self.header.tensors[module.tensors[part]], self.shape(module, part)[1]
        return tensor.dtype == "F16" and columns % 2 == 0 and 0 < columns <= _PIECE

    def _rows(self, module: ArrayModule, part: str) -> Iterator[tuple[int, Array]]:
        """Some rows after the other, each until the next: (the first, the rows)."""
        convert, columns = _converter(self.header.tensors[module.tensors[part]].dtype), self.shape(module, part)[1]
        for start, count, raw in self._raw_rows(module, part):
            piece = self._piece[: count * columns] if columns <= _PIECE else np.empty(columns, np.float32)
            convert(raw, piece)
            yield start, piece.reshape(count, columns)

    def _split_rows(self, module: ArrayModule, part: str) -> Iterator[tuple[int, Array]]:
        """As :meth:`_rows`, as [2, rows, columns/2]: the columns with even numbers, then the others."""
        columns = self.shape(module, part)[1]
        for start, count, raw in self._raw_rows(module, part):
            piece = self._piece[: count * columns].reshape(2, -1)
            widen_split(np.frombuffer(raw, np.int32), piece)
            yield start, piece.reshape(2, count, columns // 2)

    def _raw_rows(self, module: ArrayModule, part: str) -> Iterator[tuple[int, int, memoryview]]:
        """(the first row, how many, their bytes)."""
        tensor, (rows, columns) = self.header.tensors[module.tensors[part]], self.shape(module, part)
        length = columns * _size(tensor)
        step = max(1, _PIECE // max(1, columns))
        for start in range(0, rows, step):
            count = min(step, rows - start)
            yield start, count, self._read(tensor.offsets[0] + start * length, count * length)

    def _array(self, part: str, tensor: TensorInfo) -> Array:
        """Read and turned into float32 in pieces that stay in the processor's cache."""
        size, (start, end) = _size(tensor), tensor.offsets
        count = (end - start) // size
        room = self._room.get(part)
        if room is None or room.size < count:
            room = self._room[part] = np.empty(count, np.float32)
        convert = _converter(tensor.dtype)
        for first in range(0, count, _PIECE):
            piece = room[first : min(first + _PIECE, count)]
            convert(self._read(start + first * size, piece.size * size), piece)
        return room[:count].reshape(tensor.shape)

    def _read(self, start: int, length: int) -> memoryview:
        """Bytes of the data, until the next are read. Raises ``DamagedFileError`` if the file became shorter."""
        if len(self._raw) < length:
            self._raw = memoryview(bytearray(length))
        raw = self._raw[:length]
        place, done = 8 + self.header.size + start, 0
        while done < length:
            got = os.preadv(self._file, [raw[done:]], place + done)
            if not got:
                raise DamagedFileError(f"{self.path.name} ends too early", "download or export it again")
            done += got
        return raw


def _number(stored: Array, path: Path, module: ArrayModule) -> float:
    if stored.size != 1:
        raise DamagedFileError(f"{path.name} has an alpha of shape {stored.shape} in {module.name}")
    return float(stored.reshape(()))


def _converter(dtype: str) -> Callable[[memoryview, Array], None]:
    """What turns bytes of that type into float32."""
    if dtype == "F16":
        return lambda raw, into: widen(np.frombuffer(raw, np.int16), into)
    if dtype == "BF16":
        return _from_bfloat16
    if dtype in _FLOAT8:
        table = _float8(*_FLOAT8[dtype])
        return lambda raw, into: into.__setitem__(slice(None), table[np.frombuffer(raw, np.uint8)])
    return lambda raw, into: into.__setitem__(slice(None), np.frombuffer(raw, _PLAIN[dtype]))


def _from_bfloat16(raw: memoryview, into: Array) -> None:
    """It is the upper half of a float32."""
    bits = into.view(np.uint32)
    bits[:] = np.frombuffer(raw, np.uint16)
    np.left_shift(bits, np.uint32(16), out=bits)


@contextmanager
def open_arrays(path: Path) -> Iterator[ArrayFile]:
    """Open a safetensors file. Raises ``NotFoundError``, ``DamagedFileError``, and ``HubError`` for another format."""
    if not path.is_file():
        raise NotFoundError(f"{path} is not there", "scan again, or give the path of a .safetensors file")
    if path.suffix not in {".safetensors", ".sft"}:
        raise HubError(f"{path.name} is not a safetensors file", "pickled files are never opened; convert it first")
    header = read_header(path)
    with path.open("rb") as file:
        yield ArrayFile(path, header, file.fileno())


def _modules(path: Path, header: Header) -> tuple[tuple[ArrayModule, ...], int]:
    """The modules of adapters in the order of the file, and the number of tensors that belong to none."""
    found: dict[str, dict[str, str]] = {}
    strange = 0
    for name, tensor in header.tensors.items():
        split = split_name(name)
        if split is None or not _size(tensor):
            strange += 1
        else:
            found.setdefault(split[0], {})[split[1]] = name
    modules = []
    for name, tensors in found.items():
        if kind_of(tensors) == UNKNOWN:
            strange += len(tensors)
        else:
            modules.append(ArrayModule(name, common_name(name), tensors))
    _refuse_doubles(path, modules)
    return tuple(modules), strange


def _refuse_doubles(path: Path, modules: list[ArrayModule]) -> None:
    owners: dict[str, str] = {}
    for module in modules:
        for name in module.common.names:
            if name in owners:
                raise DamagedFileError(f"{path.name} names one module twice ({owners[name]} and {module.name})")
            owners[name] = module.name


def _size(tensor: TensorInfo) -> int:
    """Bytes of one number; 0 of a type that no adapter has."""
    if tensor.dtype in _PLAIN:
        return np.dtype(_PLAIN[tensor.dtype]).itemsize
    return {"BF16": 2, **dict.fromkeys(_FLOAT8, 1)}.get(tensor.dtype, 0)


def _float8(bits: int, bias: int, finite: bool) -> Array:
    """What each of the 256 bytes means."""
    byte = np.arange(256)
    sign = np.where(byte & 0x80, -1.0, 1.0)
    width = 7 - bits
    exponent, mantissa = (byte & 0x7F) >> width, (byte & ((1 << width) - 1)) / (1 << width)
    value = np.where(exponent == 0, mantissa * 2.0 ** (1 - bias), (1 + mantissa) * 2.0 ** (exponent - bias))
    broken = (byte & 0x7F) == 0x7F if finite else exponent == (1 << bits) - 1
    return np.where(broken, np.nan, sign * value).astype(np.float32)
