"""CLIP's vocabulary, shipped with hubman so that nothing is downloaded; the original, OpenCLIP's and every SD base's."""

from __future__ import annotations

import gzip
from functools import cache

from hubman.train.architectures.layouts import LAYOUTS


@cache
def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Tokens with their numbers, and the pairs of tokens that are merged, the most frequent first."""
    merges: list[tuple[str, str]] = []
    for line in gzip.decompress((LAYOUTS / "clip_merges.txt.gz").read_bytes()).decode().splitlines():
        left, right = line.split()
        merges.append((left, right))
    letters = _byte_letters()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}, merges


def _byte_letters() -> list[str]:
    """GPT-2's printable stand-in for each byte, in the order of CLIP's vocabulary."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + number) for number in range(len(others))]
