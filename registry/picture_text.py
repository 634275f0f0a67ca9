"""The texts that a PNG, JPEG or WebP carries, from its head alone: no pixel is decoded, and any bytes give an answer."""

from __future__ import annotations

import hashlib
import zlib
from typing import BinaryIO

import msgspec

from registry import exif

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_TEXT = 8 << 20
"""Bytes of one text; the workflows of ComfyUI reach some hundred thousand."""
MAX_TEXTS = 32
_MAX_CHUNKS = 20_000
_HEAD, _TAIL = 32 << 10, 8 << 10
_PNG = b"\x89PNG\r\n\x1a\n"
_GENERATORS = frozenset({"parameters", "prompt", "workflow", "hubman", "invokeai_metadata"})
"""Keywords of PNG that say how it was drawn. Where none stands before the pixels, it may stand behind them."""


class PictureText(msgspec.Struct, frozen=True):
    """Keyword or EXIF tag to text, and what tells this content from any other.

    ``content`` is a BLAKE2 of size, head and tail, 32 hex digits: reading the whole of every picture would take a
    hundred times as long, and pictures that differ do so in their data's start, end and length.
    """

    texts: dict[str, str]
    content: str


def read(file: BinaryIO) -> PictureText:
    """What a picture carries; no texts if it is none. Raises :class:`OSError` only."""
    source = _Source(file)
    texts: dict[str, str] = {}
    if source.head.startswith(_PNG):
        _png(source, texts)
    elif source.head.startswith(b"\xff\xd8"):
        _jpeg(source, texts)
    elif source.head.startswith(b"RIFF") and source.head[8:12] == b"WEBP":
        _webp(source, texts)
    return PictureText(texts, source.fingerprint())


class _Source:
    """A file whose beginning is held."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.head = file.read(_HEAD)
        self.size = file.seek(0, 2)

    def at(self, start: int, length: int) -> bytes:
        if start + length <= len(self.head):
            return self.head[start : start + length]
        self._file.seek(start)
        return self._file.read(length)

    def fingerprint(self) -> str:
        digest = hashlib.blake2b(self.size.to_bytes(8, "little"), digest_size=16)
        digest.update(self.head)
        if self.size > len(self.head):
            digest.update(self.at(max(len(self.head), self.size - _TAIL), _TAIL))
        return digest.hexdigest()


def _png(source: _Source, texts: dict[str, str]) -> None:
    """PNG (ISO 15948): chunks of length, type, data and check sum."""
    at = len(_PNG)
    for _ in range(_MAX_CHUNKS):
        start = source.at(at, 8)
        length, kind = int.from_bytes(start[:4], "big"), start[4:8]
        if len(start) < 8 or kind == b"IEND" or (kind == b"IDAT" and not _GENERATORS.isdisjoint(texts)):
            return
        if kind in {b"tEXt", b"zTXt", b"iTXt", b"eXIf"} and length <= MAX_TEXT and len(texts) < MAX_TEXTS:
            data = source.at(at + 8, length)
            if kind == b"eXIf":
                _take_exif(texts, data)
            else:
                keyword, text = _text_chunk(kind, data)
                texts.setdefault(keyword, text)
        at += 12 + length


def _text_chunk(kind: bytes, data: bytes) -> tuple[str, str]:
    keyword, _, rest = data.partition(b"\0")
    if kind == b"zTXt":
        rest = _inflated(rest[1:])
    elif kind == b"iTXt":
        is_compressed, rest = rest[:1] == b"\1", rest[2:]
        _language, _, rest = rest.partition(b"\0")
        _translated, _, rest = rest.partition(b"\0")
        rest = _inflated(rest) if is_compressed else rest
    return keyword.decode("latin-1"), _decoded(rest)


def _decoded(raw: bytes) -> str:
    """Latin-1 is what the format says of two of the three kinds; many writers put UTF-8 there."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MAX_TEXT)
    except zlib.error:
        return b""


def _jpeg(source: _Source, texts: dict[str, str]) -> None:
    """JPEG (ITU T.81, annex B): marker segments up to the picture's data."""
    at = 2
    for _ in range(_MAX_CHUNKS):
        start = source.at(at, 4)
        marker, length = start[1:2], int.from_bytes(start[2:4], "big")
        if len(start) < 4 or start[0] != 0xFF or marker in {b"\xda", b"\xd9"} or length < 2:
            return
        if marker == b"\xe1" and source.at(at + 4, 6) == b"Exif\0\0":
            _take_exif(texts, source.at(at + 4, length - 2))
        elif marker == b"\xfe":
            texts.setdefault("Comment", _decoded(source.at(at + 4, length - 2)))
        at += 2 + length


def _webp(source: _Source, texts: dict[str, str]) -> None:
    """WebP (RFC 9649): RIFF chunks, padded to even lengths; EXIF stands behind the pixels."""
    at = 12
    for _ in range(_MAX_CHUNKS):
        start = source.at(at, 8)
        length = int.from_bytes(start[4:8], "little")
        if len(start) < 8:
            return
        if start[:4] == b"EXIF" and length <= MAX_TEXT:
            _take_exif(texts, source.at(at + 8, length))
        at += 8 + length + length % 2


def _take_exif(texts: dict[str, str], block: bytes) -> None:
    for name, text in exif.texts_of(block).items():
        texts.setdefault(name, text)
