"""What a GGUF file says of itself at its beginning; nothing behind the first kilobytes is read.

Layout: ``GGUF``, version (32 bits), number of tensors and of entries (64 bits each), then the entries: a name, the type of
its value, the value; texts are a 64-bit length and UTF-8. All little-endian, by the specification in the ggml project.
"""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec

from registry.errors import DamagedFileError

_READ = 64 << 10
_ENTRIES = 64
_TEXT = 8
_LENGTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by the number of its type: integers, floats and truth values."""

_ARCHITECTURES = {
    "sd1": "sd1", "sd2": "sd2", "sdxl": "sdxl", "sd3": "sd3", "flux": "flux", "flux2": "flux2", "chroma": "chroma",
    "aura": "auraflow", "auraflow": "auraflow", "ltxv": "ltx", "hyvid": "hunyuan-video", "wan": "wan", "hidream": "hidream",
    "cosmos": "cosmos", "lumina2": "lumina", "qwen_image": "qwen", "z_image": "z-image", "cascade": "cascade",
}  # fmt: skip
"""``general.architecture`` as converters of diffusion models write it, to the architecture's name here."""

_ENCODERS = frozenset(
    {"t5", "t5encoder", "llama", "clip", "qwen2", "qwen2vl", "qwen3", "gemma", "gemma2", "gemma3", "mistral3"}
)


class Gguf(msgspec.Struct, frozen=True):
    """``stated`` is ``general.architecture`` as written, ``architecture`` and ``kind`` what it means here, if known."""

    stated: str | None
    tensors: int
    architecture: str | None = None
    kind: str = "other"


def read_gguf(path: Path) -> Gguf:
    """Read the beginning of a GGUF file. Raises :class:`DamagedFileError` and :class:`OSError`."""
    with path.open("rb") as file:
        raw = file.read(_READ)
    if not raw.startswith(b"GGUF") or len(raw) < 24:
        raise DamagedFileError(f"{path.name} is damaged: it does not begin as a GGUF file", "download it again")
    tensors, entries = struct.unpack_from("<QQ", raw, 8)
    stated = _architecture(raw, min(entries, _ENTRIES))
    known = _ARCHITECTURES.get(stated or "")
    kind = "checkpoint" if known else "text-encoder" if stated in _ENCODERS else "other"
    return Gguf(stated, tensors, known, kind)


def _architecture(raw: bytes, entries: int) -> str | None:
    """The value of ``general.architecture``, which comes first by custom; None if it isn't among what was read."""
    at = 24
    for _ in range(entries):
        name, at = _text(raw, at)
        if name is None or len(raw) < at + 4:
            return None
        kind = int.from_bytes(raw[at : at + 4], "little")
        at += 4
        if kind == _TEXT:
            value, at = _text(raw, at)
            if value is None or name == "general.architecture":
                return value
        elif kind in _LENGTHS:
            at += _LENGTHS[kind]
        else:
            return None
    return None


def _text(raw: bytes, at: int) -> tuple[str | None, int]:
    """(text at ``at`` or None if it isn't all there, where the next thing begins)."""
    length = int.from_bytes(raw[at : at + 8], "little")
    end = at + 8 + length
    if len(raw) < end or length > 1 << 12:
        return None, at
    return raw[at + 8 : end].decode("utf-8", "replace"), end
