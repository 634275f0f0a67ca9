"""Finished pictures on disk: a PNG with A1111's ``parameters`` and our own ``hubman`` chunk, written atomically."""

from __future__ import annotations

from pathlib import Path

import msgspec
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from hubman.generate.files import replace_file
from hubman.generate.infotext import Infotext, write
from hubman.generate.infotext_reading import read
from hubman.generate.request import DrawRequest
from registry import picture_text
from registry.decodable import decodable
from registry.errors import DamagedFileError, UsageError

_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_QUALITY = 92
_MAX_JPEG_EXIF = 65_533 - 6
"""Bytes that one segment of a JPEG holds behind its length and the word Exif."""


class EngineNote(msgspec.Struct, frozen=True, kw_only=True):
    """How a picture was computed, so that it can be drawn again bit for bit on the same machine."""

    path: str = "bank"
    dtype: str
    device: str
    batch: int
    versions: dict[str, str]


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """The ``hubman`` text chunk. The request's paths are file names only: a picture must not tell of its machine."""

    key: str
    request: DrawRequest
    engine: EngineNote


def public(request: DrawRequest) -> DrawRequest:
    """The request without the folders of this machine."""
    loras = tuple(msgspec.structs.replace(use, path=Path(use.path).name) for use in request.loras)
    names = {field: Path(getattr(request, field)).name for field in ("base", "init", "vae") if getattr(request, field)}
    return msgspec.structs.replace(request, loras=loras, **names)


def save_png(image: Image.Image, path: Path, info: Infotext, chunk: Chunk) -> None:
    """Write ``image`` with its data to ``path``: a temporary file beside it, fsync, replace."""
    notes = PngImagePlugin.PngInfo()
    _add(notes, "parameters", write(info))
    _add(notes, "hubman", msgspec.json.encode(chunk).decode())
    replace_file(path, lambda file: image.save(file, format="PNG", pnginfo=notes))


def save_copy(picture: Path, out: Path) -> None:
    """Write ``picture`` with its infotext to ``out``, a PNG, JPEG or WebP by its suffix.

    JPEG and WebP have it as EXIF's UserComment in big-endian UTF-16, as A1111 writes it; the ``hubman`` chunk stays
    behind, since other pixels cannot be drawn again bit for bit. Raises ``UsageError`` for another suffix.
    """
    kind = _FORMATS.get(out.suffix.lower())
    if kind is None:
        raise UsageError(f"{out.name} is neither PNG, JPEG nor WebP", f"end its name in one of {', '.join(_FORMATS)}")
    info, _ = read_info(picture)
    text = "" if info is None else write(info)
    with Image.open(picture) as image:
        if kind == "PNG":
            notes = PngImagePlugin.PngInfo()
            _add(notes, "parameters", text)
            replace_file(out, lambda file: image.save(file, format=kind, pnginfo=notes))
            return
        told = Image.Exif()
        told.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be", "replace")
        if kind == "JPEG" and len(told.tobytes()) > _MAX_JPEG_EXIF:
            raise UsageError(f"the infotext of {picture.name} is too long for a JPEG", "write a WebP or PNG")
        plain = image.convert("RGB") if kind == "JPEG" else image
        replace_file(out, lambda file: plain.save(file, format=kind, exif=told, quality=_QUALITY))


def _add(notes: PngImagePlugin.PngInfo, key: str, text: str) -> None:
    """What is not ASCII goes where UTF-8 is the rule: other programs put it into a Latin-1 field too, so readers guess."""
    if text.isascii():
        notes.add_text(key, text)
    else:
        notes.add_itxt(key, text)


def refuse_no_picture(path: Path) -> None:
    """Raise ``DamagedFileError`` unless the file begins as a picture does."""
    try:
        with Image.open(path):
            pass
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DamagedFileError(f"{path} is no picture", "give a PNG, JPEG or WebP") from error


def read_info(path: Path) -> tuple[Infotext | None, Chunk | None]:
    """The generation data of any PNG, JPEG or WebP; None for what it does not hold.

    Raises ``DamagedFileError`` if it is no picture.
    """
    refuse_no_picture(path)
    try:
        with path.open("rb") as file:
            texts = picture_text.read(file).texts
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DamagedFileError(f"{path} is not a picture that can be read ({error})") from error
    parameters = texts.get("parameters") or texts.get("UserComment")
    try:
        chunk = msgspec.json.decode(texts.get("hubman", ""), type=decodable(Chunk))
    except (msgspec.MsgspecError, UnicodeEncodeError):
        chunk = None
    return (read(parameters) if parameters else None), chunk


def finished(path: Path, key: str) -> Chunk | None:
    """What the finished picture of the request with this key carries; None if ``path`` does not hold it whole."""
    if not path.is_file():
        return None
    try:
        chunk = read_info(path)[1]
    except DamagedFileError:
        return None
    return chunk if chunk is not None and chunk.key == key else None
