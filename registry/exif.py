"""The few texts of an EXIF block that generators write into, read within bounds from bytes that may be anything."""

from __future__ import annotations

USER_COMMENT = 0x9286
_NAMES = {0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", USER_COMMENT: "UserComment"}
_EXIF_IFD = 0x8769
_ASCII, _BYTE, _UNDEFINED = 2, 1, 7
_ENTRIES = 512
_SAMPLE = 1024


def texts_of(block: bytes) -> dict[str, str]:
    """Tag name to text of a TIFF block, with or without the word Exif before it; what makes no sense is left out.

    The layout is that of TIFF 6.0: a byte order, then directories of 12-byte entries.
    """
    data = block.removeprefix(b"Exif\0\0")
    order = {b"II": "little", b"MM": "big"}.get(data[:2])
    if order is None:
        return {}
    found: dict[str, str] = {}
    pending, seen = [_number(data, 4, 4, order)], set[int]()
    while pending:
        at = pending.pop()
        if at in seen or len(seen) > 8:
            continue
        seen.add(at)
        for number in range(min(_number(data, at, 2, order), _ENTRIES)):
            entry = at + 2 + 12 * number
            tag, kind = _number(data, entry, 2, order), _number(data, entry + 2, 2, order)
            if tag == _EXIF_IFD:
                pending.append(_number(data, entry + 8, 4, order))
            elif tag in _NAMES and kind in {_ASCII, _BYTE, _UNDEFINED}:
                raw = _value(data, entry, order)
                text = user_comment(raw, order) if tag == USER_COMMENT else _utf8(raw)
                if text:
                    found.setdefault(_NAMES[tag], text)
    return found


def user_comment(raw: bytes, order: str = "big") -> str:
    """The text of a UserComment: eight bytes that name its code, then the text (EXIF 2.3, 4.6.5).

    Writers differ in the byte order of ``UNICODE`` whatever the block's ``order`` is, and some leave the code out.
    """
    code, text = raw[:8], raw[8:]
    if code.startswith(b"UNICODE"):
        return _utf16(text, order)
    if code.startswith(b"JIS"):
        return text.decode("iso2022_jp", "replace").rstrip("\0")
    if code.startswith(b"ASCII\0") or not code.strip(b"\0"):
        return _utf8(text)
    return _utf8(raw)


def _utf16(text: bytes, order: str) -> str:
    if text[:2] in {b"\xfe\xff", b"\xff\xfe"}:
        return text.decode("utf-16", "replace").rstrip("\0")
    # In most texts one byte of two is zero: which one tells the order.
    first, second = text[0:_SAMPLE:2].count(0), text[1:_SAMPLE:2].count(0)
    if first != second:
        order = "big" if first > second else "little"
    return text.decode(f"utf-16-{order[0]}e", "replace").rstrip("\0")


def _utf8(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").strip("\0 ")


def _number(data: bytes, at: int, length: int, order: str) -> int:
    """Zero where the block ends before it."""
    return int.from_bytes(data[at : at + length], "little" if order == "little" else "big")


def _value(data: bytes, entry: int, order: str) -> bytes:
    length = _number(data, entry + 4, 4, order)
    at = entry + 8 if length <= 4 else _number(data, entry + 8, 4, order)
    return data[at : at + length]
