"""Finished pictures on disk: a PNG with A1111's ``parameters`` and our own ``hubman`` chunk, written atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from hubman.generate.files import replace_file
from hubman.generate.infotext import Infotext, read, write
from hubman.generate.request import DrawRequest
from registry import exif
from registry.errors import DamagedFileError

_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286


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
    notes.add_text("parameters", write(info))
    notes.add_text("hubman", msgspec.json.encode(chunk).decode())
    replace_file(path, lambda file: image.save(file, format="PNG", pnginfo=notes))


def read_info(path: Path) -> tuple[Infotext | None, Chunk | None]:
    """The generation data of any PNG, JPEG or WebP; None for what it does not hold.

    Raises ``DamagedFileError`` if it is no picture.
    """
    try:
        with Image.open(path) as image:
            texts: dict[Any, Any] = dict(image.info)
            comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DamagedFileError(f"{path} is not a picture that can be read ({error})") from error
    parameters = texts.get("parameters")
    if not isinstance(parameters, str) and isinstance(comment, bytes):
        parameters = exif.user_comment(comment)
    try:
        chunk = msgspec.json.decode(texts.get("hubman", ""), type=Chunk)
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError):
        chunk = None
    return (read(parameters) if isinstance(parameters, str) else None), chunk


def finished(path: Path, key: str) -> Chunk | None:
    """What the finished picture of the request with this key carries; None if ``path`` does not hold it whole."""
    if not path.is_file():
        return None
    try:
        chunk = read_info(path)[1]
    except DamagedFileError:
        return None
    return chunk if chunk is not None and chunk.key == key else None
