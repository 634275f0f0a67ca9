"""A pair of keys of age out of 32 bytes, in the form that age itself reads (Bech32, BIP-173)."""

from __future__ import annotations

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def identity(secret: bytes) -> str:
    """``AGE-SECRET-KEY-1…`` of an X25519 secret of 32 bytes."""
    return _bech32("age-secret-key-", secret).upper()


def _bech32(prefix: str, data: bytes) -> str:
    digits = _fives(data)
    expanded = [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix)]
    rest = _remainder([*expanded, *digits, 0, 0, 0, 0, 0, 0]) ^ 1
    checksum = [rest >> 5 * (5 - place) & 31 for place in range(6)]
    return f"{prefix}1{''.join(_LETTERS[digit] for digit in digits + checksum)}"


def _fives(data: bytes) -> list[int]:
    """``data`` in groups of five bits, the last one filled up with zeros."""
    bits = 8 * len(data)
    groups = -(-bits // 5)
    number = int.from_bytes(data) << (5 * groups - bits)
    return [number >> 5 * (groups - 1 - place) & 31 for place in range(groups)]


def _remainder(digits: list[int]) -> int:
    state = 1
    for digit in digits:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ digit
        for place, factor in enumerate(_GENERATOR):
            state ^= factor if top >> place & 1 else 0
    return state
