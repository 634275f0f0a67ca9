"""A picture drawn again: one of hubman's from the exact request that it carries, in a batch of the same size, and
compared with what it was; one of another program's as near as its settings can be read.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from hubman import bases, tinybase
from hubman.generate.importing import import_picture
from hubman.generate.naming import located
from hubman.generate.pictures import Chunk, EngineNote, read_info
from hubman.generate.request import DrawRequest, check
from registry import library
from registry.database import Registry
from registry.errors import HubError, NotFoundError


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """How two pictures compare: whether every pixel is equal, and the largest difference of a channel, 0..255."""

    same: bool
    largest: int


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """``chunk`` is None for a picture of another program; ``remarks`` say in what the request differs from it."""

    request: DrawRequest
    chunk: Chunk | None = None
    remarks: tuple[str, ...] = ()


def request_of_picture(registry: Registry, picture: Path, base: str = "") -> Again:
    """The request in the ``hubman`` chunk of ``picture``, or nearest to what another program wrote, with files of here.

    LoRAs are found by their SHA-256, the base by its hash or name unless ``base`` names one. Raises ``HubError`` where
    something is not here.
    """
    chunk = read_info(picture)[1]
    if chunk is None:
        imported = import_picture(registry, picture, base)
        return Again(request=imported.request, remarks=imported.remarks)
    request = located(registry, msgspec.structs.replace(chunk.request, base=_base(registry, chunk.request, base)))
    for field, path in (("init", request.init), ("vae", request.vae)):
        if path and not Path(path).exists():
            raise NotFoundError(f"its {field} {path} is not known here", "draw it again from that folder")
    check(request)
    return Again(request=request, chunk=chunk)


def differences(before: EngineNote, now: EngineNote) -> tuple[str, ...]:
    """What decides the last bits of a picture and is not as it was."""
    pairs = [(name, getattr(before, name), getattr(now, name)) for name in ("path", "dtype", "device", "batch")]
    pairs += [(name, old, now.versions.get(name)) for name, old in before.versions.items()]
    return tuple(f"it was drawn with {name} {old}, now with {new}" for name, old, new in pairs if old != new)


def with_neighbours(again: Again) -> list[DrawRequest]:
    """The request first, then as many others of its kind as were drawn with it.

    A picture is the same whatever its neighbours are, but only in a batch of the same size bit for bit.
    """
    request = again.request
    others = again.chunk.engine.batch - 1 if again.chunk else 0
    return [msgspec.structs.replace(request, seed=(request.seed + number) % 2**63) for number in range(others + 1)]


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
    import numpy as np
    from PIL import Image

    with Image.open(one) as first, Image.open(other) as second:
        if first.size != second.size:
            return Likeness(same=False, largest=255)
        before, after = (np.asarray(image.convert("RGB"), dtype=np.int16) for image in (first, second))
    largest = int(np.abs(before - after).max())
    return Likeness(same=largest == 0, largest=largest)
