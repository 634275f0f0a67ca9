"""Read a whole model file once and tell whether it is what it was, and whether it is fit for use."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from registry.errors import DamagedFileError
from registry.headers import Header, TensorInfo, read_header
from registry.weights import PIECE, are_finite, are_zero, is_float

_SHOWN = 3
"""Tensors named in a problem; the rest is counted."""


class Soundness(NamedTuple):
    """``damage`` contradicts the format, such as a file that was cut off; ``weights`` is what is wrong with numbers."""

    sha256: str
    damage: str | None
    weights: str | None


def examine(path: Path, *, is_safetensors: bool) -> Soundness:
    """Read ``path`` from start to end. Other formats are only hashed: their numbers can't be told without opening
    them. Raises :class:`OSError`.
    """
    header, damage = None, None
    if is_safetensors:
        try:
            header = read_header(path)
        except DamagedFileError as error:
            damage = error.message.removeprefix(f"{path.name} ")
    with path.open("rb") as file:
        if header is None:
            return Soundness(hashlib.file_digest(file, "sha256").hexdigest(), damage, None)
        return _with_numbers(file, header)


def _with_numbers(file: BufferedReader, header: Header) -> Soundness:
    """The tensors follow one another without a gap: that is what the header was checked for."""
    digest = hashlib.sha256(file.read(8 + header.size))
    broken: list[str] = []
    zero: set[str] = set()
    for name, tensor in sorted(header.tensors.items(), key=lambda entry: entry[1].offsets):
        is_finite, is_zero = True, True
        for piece in _pieces(file, tensor):
            digest.update(piece)
            is_zero = is_zero and are_zero(piece)
            # Zeros are finite, and a number that is not found already is enough.
            is_finite = is_finite and (is_zero or are_finite(tensor.dtype, piece))
        if not is_finite:
            broken.append(name)
        if is_zero and is_float(tensor.dtype):
            zero.add(name)
    while rest := file.read(PIECE):
        digest.update(rest)
    return Soundness(digest.hexdigest(), None, _said_of(header, broken, zero))


def _pieces(file: BufferedReader, tensor: TensorInfo) -> Iterator[bytes]:
    left = tensor.offsets[1] - tensor.offsets[0]
    while left and (piece := file.read(min(left, PIECE))):
        left -= len(piece)
        yield piece


def _said_of(header: Header, broken: list[str], zero: set[str]) -> str | None:
    if broken:
        return f"has numbers that are not finite (NaN or infinity) in {_named(broken)}"
    floats = [name for name, tensor in header.tensors.items() if is_float(tensor.dtype) and math.prod(tensor.shape) > 0]
    if floats and zero.issuperset(floats):
        return "has no weight other than zero"
    started = [name for name in floats if _starts_at_zero(name) and _is_matrix(header.tensors[name])]
    if started and zero.issuperset(started) and any(part in name for name in started for part in _UP):
        return "was never trained: what it adds is all zero"
    lost = sorted(
        name for name in zero if name in floats and _is_matrix(header.tensors[name]) and not _starts_at_zero(name)
    )
    return f"has only zeros in {_named(lost)}" if lost else None


_UP = ("lora_up", "lora_B", "lora.up", "hada_w2_a", "lokr_w2")
_OTHERS = ("oft_", "diff", "zero_conv", "norm", "on_input", "input_hint_block", "middle_block_out", "controlnet_")


def _starts_at_zero(name: str) -> bool:
    """Whether trainers make a tensor of this name zero, so that one that was never trained is no damage."""
    return any(part in name for part in (*_UP, *_OTHERS))


def _is_matrix(tensor: TensorInfo) -> bool:
    """A bias or a scale may well be zero."""
    return sum(length > 1 for length in tensor.shape) >= 2


def _named(names: list[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{rest}"
