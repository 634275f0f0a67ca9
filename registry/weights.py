"""Whether a tensor's bytes are numbers that can be computed with, found out without numpy.

A floating-point number is not finite (NaN or an infinity) if all bits of its exponent are set. Little-endian, these bits
lie in its last byte and, but for the shortest types, at the top of the one before. So one byte of each number is picked
out by slicing and looked up in a table, which costs less than hashing; the byte before only where the last one fits.
"""

from __future__ import annotations

from typing import NamedTuple


class _Float(NamedTuple):
    """``size`` of a number in bytes; tables that mark with 1 the last bytes, and those before them, of what is not
    finite. Without ``before`` the last byte tells all.
    """

    size: int
    last: bytes
    before: bytes | None


def _table(mask: int) -> bytes:
    """Marks the bytes that have all bits of ``mask``."""
    return bytes((byte & mask) == mask for byte in range(256))


_FLOATS = {
    "F64": _Float(8, _table(0x7F), _table(0xF0)),
    "F32": _Float(4, _table(0x7F), _table(0x80)),
    "BF16": _Float(2, _table(0x7F), _table(0x80)),
    "F16": _Float(2, _table(0x7C), None),
    "F8_E5M2": _Float(1, _table(0x7C), None),
    "F8_E4M3": _Float(1, _table(0x7F), None),
}

PIECE = 4 << 20
"""Bytes of a tensor to look at together: a multiple of every number's size."""

_ZEROS = bytes(PIECE)


def is_float(dtype: str) -> bool:
    """Whether :func:`are_finite` knows the type."""
    return dtype in _FLOATS


def are_finite(dtype: str, piece: bytes) -> bool:
    """Whether all numbers in ``piece`` (whole numbers of the type ``dtype``) are finite; True for unknown types."""
    number = _FLOATS.get(dtype)
    if number is None:
        return True
    last = piece[number.size - 1 :: number.size].translate(number.last)
    if b"\1" not in last:
        return True
    if number.before is None:
        return False
    before = piece[number.size - 2 :: number.size].translate(number.before)
    return not int.from_bytes(last, "little") & int.from_bytes(before, "little")


def are_zero(piece: bytes) -> bool:
    """Whether a piece of at most :data:`PIECE` bytes holds nothing but zeros."""
    return piece == (_ZEROS if len(piece) == PIECE else bytes(len(piece)))
