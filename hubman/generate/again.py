"""A picture that hubman drew, drawn again from the request that it carries, and compared with what it was."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hubman import bases, tinybase
from hubman.generate.naming import located
from hubman.generate.pictures import Chunk, read_info
from hubman.generate.request import DrawRequest, check
from registry import library
from registry.database import Registry
from registry.errors import HubError, NotFoundError


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """How two pictures compare: whether every pixel is equal, and the largest difference of a channel, 0..255."""

    same: bool
    largest: int


def request_of_picture(registry: Registry, picture: Path, base: str = "") -> tuple[DrawRequest, Chunk]:
    """The request in the ``hubman`` chunk of ``picture``, with the files of this machine, and the chunk itself.

    LoRAs are found by their SHA-256, the base by its hash or name unless ``base`` names one. Raises ``HubError`` where
    something is not here.
    """
    chunk = read_info(picture)[1]
    if chunk is None:
        raise NotFoundError(
            f"{picture.name} does not carry what hubman drew it with", "hubman images show tells what it does carry"
        )
    request = located(registry, msgspec.structs.replace(chunk.request, base=_base(registry, chunk.request, base)))
    for field, path in (("init", request.init), ("vae", request.vae)):
        if path and not Path(path).exists():
            raise NotFoundError(f"its {field} {path} is not known here", "draw it again from that folder")
    check(request)
    return request, chunk


def _base(registry: Registry, request: DrawRequest, given: str) -> str:
    if given:
        return str(bases.find(given))
    if request.base == tinybase.MODEL.name:
        return str(tinybase.MODEL)
    for ref in filter(None, (request.base_sha256, Path(request.base).stem)):
        try:
            version = library.version(registry, library.resolve(registry, ref)[1])
        except HubError:
            continue
        for file in version.files:
            for place in file.places:
                if place.state == "present" and Path(place.path).name == request.base:
                    return place.path
    raise NotFoundError(f"the base model {request.base} is not known here", "name it with --base")


def compare(one: Path, other: Path) -> Likeness:
    """Compare the pixels of two pictures; different sizes differ by 255."""
    from PIL import Image, ImageChops

    with Image.open(one) as first, Image.open(other) as second:
        if first.size != second.size:
            return Likeness(same=False, largest=255)
        difference = ImageChops.difference(first.convert("RGB"), second.convert("RGB"))
    largest = max(high for _, high in difference.getextrema())
    return Likeness(same=largest == 0, largest=int(largest))
