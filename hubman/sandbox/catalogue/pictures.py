"""The catalogue's pictures: drawn when asked for, from nothing but their media key.

A key has a UUID's form: a mark, the width and the height in hexadecimal, the kind, and the picture's number.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import io
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubman.sandbox.catalogue import words

if TYPE_CHECKING:
    from PIL import Image

_MARK = "5a4db0c5"
_KEY = re.compile(_MARK + r"-([0-9a-f]{4})-([0-9a-f]{4})-([01])000-([0-9a-f]{12})")
_BASE83 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_SKETCH = 96
"""Longest side in pixels that is drawn; the rest is scaled up."""
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Picture:
    """One picture, or one video with a poster."""

    number: int
    width: int
    height: int
    is_video: bool = False

    @property
    def key(self) -> str:
        return f"{_MARK}-{self.width:04x}-{self.height:04x}-{int(self.is_video)}000-{self.number:012x}"

    @property
    def blurhash(self) -> str:
        """One component: the mean colour."""
        red, green, blue = palette(self.number)[0]
        value, digits = (red << 16) + (green << 8) + blue, ""
        for _ in range(4):
            value, digit = divmod(value, 83)
            digits = _BASE83[digit] + digits
        return "00" + digits


def from_key(key: str) -> Picture | None:
    """What a media key of the catalogue stands for; None for any other."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    return Picture(int(match[4], 16), int(match[1], 16), int(match[2], 16), is_video=match[3] == "1")


def palette(number: int) -> list[Colour]:
    """Four colours, neither black nor white."""
    tones = [30 + byte % 196 for byte in hashlib.blake2b(str(number).encode(), digest_size=12).digest()]
    return [(tones[n], tones[n + 1], tones[n + 2]) for n in (0, 3, 6, 9)]


def draw(picture: Picture, width: int, height: int) -> Image.Image:
    """The picture in this size: a sky, a ground, and a few shapes between them."""
    from PIL import Image, ImageDraw, ImageOps

    chance = random.Random(f"shapes {picture.number}")
    colours = palette(picture.number)
    scale = _SKETCH / max(picture.width, picture.height)
    size = max(8, round(picture.width * scale)), max(8, round(picture.height * scale))
    image = ImageOps.colorize(Image.linear_gradient("L").resize(size), colours[0], colours[1])
    pen = ImageDraw.Draw(image)
    for _ in range(chance.randrange(3, 8)):
        x, y = chance.randrange(size[0]), chance.randrange(size[1])
        reach = chance.randrange(6, max(7, min(size) // 2))
        box = (x - reach, y - reach, x + reach, y + reach)
        shape = chance.choice((pen.ellipse, pen.rectangle))
        shape(box, fill=chance.choice(colours[1:]), outline=colours[0])
    return image.resize((max(1, width), max(1, height)), Image.Resampling.BICUBIC)


def original(picture: Picture) -> bytes:
    """The file that was uploaded: a JPEG with its generation data in EXIF, or a short MP4."""
    if picture.is_video:
        return _clip() + _free_box(picture.number)
    return jpeg(draw(picture, picture.width, picture.height), exif=_exif(picture))


def jpeg(image: Image.Image, *, quality: int = 82, exif: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, **({"exif": exif} if exif else {}))
    return buffer.getvalue()


@functools.cache
def _clip() -> bytes:
    return importlib.resources.files("hubman.sandbox.catalogue").joinpath("clip.mp4").read_bytes()


def _free_box(number: int) -> bytes:
    """Players skip it; it makes each video's bytes its own."""
    return (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")


def meta(number: int, width: int, height: int) -> dict[str, Any]:
    """Generation data as the site shows them."""
    chance = random.Random(f"meta {number}")
    looks = chance.sample(words.LOOKS, 4)
    return {
        "prompt": ", ".join([chance.choice(words.SUBJECTS), *looks]),
        "negativePrompt": "blurry, watermark, lowres",
        "sampler": chance.choice(words.SAMPLERS),
        "steps": chance.randrange(18, 41),
        "cfgScale": chance.choice((1, 3.5, 5, 7)),
        "seed": chance.randrange(2**32),
        "Size": f"{width}x{height}",
        "Model": "catalogueBase_v1",
        "Version": "v1.10.1",
    }


def _exif(picture: Picture) -> bytes:
    """A1111's text in the user comment."""
    from PIL import Image

    told = meta(picture.number, picture.width, picture.height)
    text = (
        f"{told['prompt']}\nNegative prompt: {told['negativePrompt']}\nSteps: {told['steps']}, "
        f"Sampler: {told['sampler']}, CFG scale: {told['cfgScale']}, Seed: {told['seed']}, Size: {told['Size']}, "
        f"Model: {told['Model']}, Version: {told['Version']}"
    )
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    return exif.tobytes()
