"""Preview pictures for the benchmarks: thousands that all look different, from a few dozen that are really drawn."""

from __future__ import annotations

import io
import random
from pathlib import Path

from PIL import Image

from tests.support.library_factory import picture

_SIZE = (512, 768)
_DRAWN = 40
_QUANTISATION = b"\xff\xdb"
_LOSSLESS = 50
"""Every so many pictures are PNG files, which decode slowest."""


class Pictures:
    """Writes the picture of a model's number beside it."""

    def __init__(self, seed: int) -> None:
        drawn = [Image.open(io.BytesIO(picture(seed * _DRAWN + number, _SIZE))) for number in range(_DRAWN)]
        self._lossy = [_grained(image, number) for number, image in enumerate(drawn)]
        self._lossless = [picture(seed * _DRAWN + number, _SIZE) for number in range(_DRAWN)]

    def write(self, stem: str, number: int) -> None:
        draw = random.Random(number)
        if number % _LOSSLESS == 0:
            # What follows the end of a PNG is no part of the picture.
            Path(f"{stem}.preview.png").write_bytes(draw.choice(self._lossless) + b"%d" % number)
            return
        content = bytearray(draw.choice(self._lossy))
        # The first number of a JPEG's quantisation table scales its brightness: another look without drawing again.
        content[content.index(_QUANTISATION) + 5] = draw.randint(4, 60)
        ending = ".jpg" if number % 2 else ".preview.jpg"
        Path(stem + ending).write_bytes(bytes(content) + b"%d" % number)


def _grained(image: Image.Image, number: int) -> bytes:
    """As a JPEG with grain, so that it is as large as a real one."""
    grain = Image.effect_noise(_SIZE, 20 + number % 20).convert("RGB")
    stream = io.BytesIO()
    Image.blend(image.convert("RGB"), grain, 0.2).save(stream, "JPEG", quality=80)
    return stream.getvalue()
