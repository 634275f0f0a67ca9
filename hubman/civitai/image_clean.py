"""A picture's bytes for the site: the pixels as they are, and of its metadata only what says how it was drawn.

Nothing is encoded anew: of PNG, JPEG and WebP the parts that hold pixels and colours are kept, and camera, place, author,
folders, workflows, comments and thumbnails fall away. What was drawn is written as A1111 does: the text ``parameters`` in
PNG, EXIF ``UserComment`` in the others, which keep their orientation.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from registry.errors import DamagedFileError

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset({b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"cICP"})
_JPEG_KEPT = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
"""Application segments that readers of the pixels need, by how they begin."""
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
"""Second bytes that no length follows: an escaped 0xFF of the pixels, restarts."""
_WEBP_KEPT = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"})
_ORIENTATION, _EXIF_IFD, _USER_COMMENT = 0x0112, 0x8769, 0x9286
_MOST_EXIF = 65_000
"""Bytes that one JPEG segment holds, nearly."""


def mime_type(data: bytes) -> str | None:
    """The media type by the first bytes, if it is one that Civitai takes: blobs have no suffix."""
    if data.startswith(_PNG):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def cleaned(data: bytes, infotext: str = "") -> bytes:
    """The picture with ``infotext`` as its only metadata. Raises :class:`DamagedFileError` for what is no such picture."""
    try:
        match mime_type(data):
            case "image/png":
                return _clean_png(data, infotext)
            case "image/jpeg":
                return _clean_jpeg(data, infotext)
            case "image/webp":
                return _clean_webp(data, infotext)
    except (struct.error, IndexError, ValueError) as error:
        raise DamagedFileError("a picture is cut off", "make it again") from error
    raise DamagedFileError("a picture is neither PNG, JPEG nor WebP", "convert it first")


# PNG: chunks of length, type, data, CRC (PNG specification, section 5) -------------------------------------------------


def _clean_png(data: bytes, infotext: str) -> bytes:
    parts = [_PNG]
    for kind, body in _png_chunks(data):
        if kind == b"IDAT" and infotext:
            parts.append(_png_chunk(*_png_text(infotext)))
            infotext = ""
        # An upper-case first letter marks what a reader can't do without.
        if kind[:1].isupper() or kind in _PNG_KEPT:
            parts.append(_png_chunk(kind, body))
    return b"".join(parts)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise ValueError("cut off")
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_text(infotext: str) -> tuple[bytes, bytes]:
    """``tEXt`` is Latin-1 by definition; whatever else needs ``iTXt``."""
    try:
        return b"tEXt", b"parameters\0" + infotext.encode("latin-1")
    except UnicodeEncodeError:
        return b"iTXt", b"parameters\0\0\0\0\0" + infotext.encode()


# JPEG: segments of marker and length up to the scan (ITU T.81, annex B) -------------------------------------------------


def _clean_jpeg(data: bytes, infotext: str) -> bytes:
    parts, orientation, at = [], 1, 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("out of line")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xDA:
            break
        length = struct.unpack_from(">H", data, at + 2)[0] + 2
        segment = data[at : at + length]
        if len(segment) < length:
            raise ValueError("cut off")
        body, at = segment[4:], at + length
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = _orientation(body[6:])
        if not _is_told(marker) or (marker in _JPEG_KEPT and body.startswith(_JPEG_KEPT[marker])):
            parts.append(_without_thumbnail(segment) if marker == 0xE0 else segment)
    exif = _exif(orientation, infotext)
    # A JFIF segment, where there is one, must be the first.
    place = 1 if parts and parts[0][1] == 0xE0 else 0
    if exif:
        told = b"Exif\0\0" + exif
        parts.insert(place, b"\xff\xe1" + struct.pack(">H", len(told) + 2) + told)
    return b"\xff\xd8" + b"".join(parts) + _scans(data[at:])


def _is_told(marker: int) -> bool:
    """Whether it is a segment of a program or a comment, and none of the pixels."""
    return 0xE0 <= marker <= 0xEF or marker == 0xFE


def _without_thumbnail(segment: bytes) -> bytes:
    return b"\xff\xe0\x00\x10" + segment[4:16] + b"\0\0"


def _scans(rest: bytes) -> bytes:
    """Up to the end of the image: what programs write behind it, such as a second picture or a video, is cut off.

    A progressive picture has several scans, and segments may stand between them too.
    """
    parts: list[bytes] = []
    kept, at = 0, 0
    while (at := rest.find(b"\xff", at)) >= 0 and at + 1 < len(rest):
        marker = rest[at + 1]
        if marker == 0xD9:
            return b"".join([*parts, rest[kept : at + 2]])
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            end = at + 2 + struct.unpack_from(">H", rest, at + 2)[0]
            if _is_told(marker):
                parts.append(rest[kept:at])
                kept = end
            at = end
    raise ValueError("cut off")


# WebP: RIFF chunks (WebP container specification) ---------------------------------------------------------------------


def _clean_webp(data: bytes, infotext: str) -> bytes:
    chunks, orientation = [], 1
    end = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    at = 12
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        if len(body) < length:
            raise ValueError("cut off")
        if kind == b"EXIF":
            orientation = _orientation(body.removeprefix(b"Exif\0\0"))
        elif kind in {b"ANIM", b"ANMF"}:
            raise DamagedFileError("an animated WebP is no picture that Civitai takes", "use one of its frames")
        elif kind in _WEBP_KEPT:
            chunks.append((kind, body))
        at += 8 + length + length % 2
    exif = _exif(orientation, infotext)
    chunks = _extended(chunks, has_exif=bool(exif)) + ([(b"EXIF", exif)] if exif else [])
    payload = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in chunks
    )
    return b"RIFF" + struct.pack("<I", len(payload)) + payload


def _extended(chunks: list[tuple[bytes, bytes]], *, has_exif: bool) -> list[tuple[bytes, bytes]]:
    """The chunks with flags that are true; a simple file gets a header of its own for metadata."""
    by_kind = dict(chunks)
    if b"VP8X" in by_kind:
        flags = (
            (by_kind[b"VP8X"][0] & ~0b0010_1110)
            | (0b1000 if has_exif else 0)
            | (0b10_0000 if b"ICCP" in by_kind else 0)
        )
        header = bytes([flags]) + by_kind[b"VP8X"][1:]
        return [(kind, header if kind == b"VP8X" else body) for kind, body in chunks]
    if not has_exif:
        return chunks
    width, height, has_alpha = _webp_size(by_kind)
    flags = 0b1000 | (0b1_0000 if has_alpha else 0)
    header = bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return [(b"VP8X", header), *chunks]


def _webp_size(chunks: dict[bytes, bytes]) -> tuple[int, int, bool]:
    if b"VP8L" in chunks:
        bits = int.from_bytes(chunks[b"VP8L"][1:5], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1, bool(bits >> 28 & 1)
    width, height = struct.unpack_from("<HH", chunks[b"VP8 "], 6) if b"VP8 " in chunks else (0, 0)
    if not width or not height:
        raise ValueError("no picture")
    return width & 0x3FFF, height & 0x3FFF, False


# EXIF: a TIFF block with the two entries that are meant to be there (TIFF 6.0, EXIF 2.3) --------------------------------


def _exif(orientation: int, infotext: str) -> bytes:
    """Empty where there is nothing to say; too long a text is left out: the site is told it besides."""
    comment = b"UNICODE\0" + infotext.encode("utf-16-be") if infotext else b""
    if len(comment) > _MOST_EXIF:
        comment = b""
    entries = []
    if orientation != 1:
        entries.append(struct.pack(">HHIHH", _ORIENTATION, 3, 1, orientation, 0))
    if comment:
        entries.append(struct.pack(">HHII", _EXIF_IFD, 4, 1, 8 + 2 + 12 * (len(entries) + 1) + 4))
    if not entries:
        return b""
    block = b"MM\0*" + struct.pack(">I", 8) + struct.pack(">H", len(entries)) + b"".join(entries) + b"\0\0\0\0"
    if comment:
        place = len(block) + 2 + 12 + 4
        block += struct.pack(">HHHII", 1, _USER_COMMENT, 7, len(comment), place) + b"\0\0\0\0" + comment
    return block


def _orientation(block: bytes) -> int:
    """1 to 8; 1 (upright) where it is not told."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return 1
    at = struct.unpack_from(f"{order}I", block, 4)[0]
    if at + 2 > len(block):
        return 1
    for number in range(struct.unpack_from(f"{order}H", block, at)[0]):
        place = at + 2 + 12 * number
        if place + 12 > len(block):
            break
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", block, place)
        if (tag, kind, count) == (_ORIENTATION, 3, 1):
            return value if 1 <= value <= 8 else 1
    return 1
