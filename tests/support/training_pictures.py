"""Pictures that stand for what people train on: photographs (detail at all scales) and drawings (flat areas, lines)."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFont

Size = tuple[int, int]


def photo(seed: int, size: Size = (256, 256)) -> Image.Image:
    """Noise of every scale, the coarser the stronger, as in photographs, in colours of its own."""
    rng = random.Random(f"photo {seed}")
    low, high = (tuple(rng.randrange(*span) for _ in range(3)) for span in ((0, 110), (150, 256)))
    grey = Image.new("L", size, 128)
    cells = 3
    while cells < max(size):
        noise = Image.frombytes("L", (cells, cells), rng.randbytes(cells * cells)).resize(
            size, Image.Resampling.BICUBIC
        )
        grey = ImageChops.add(grey, noise, 1.0, -128) if cells == 3 else Image.blend(grey, noise, 0.32)
        cells *= 2
    return Image.merge(
        "RGB", [grey.point(lambda v, a=a, b=b: a + (b - a) * v / 255) for a, b in zip(low, high, strict=True)]
    )


def drawing(seed: int, size: Size = (256, 256)) -> Image.Image:
    """A plain ground with a few flat, outlined shapes."""
    rng = random.Random(f"drawing {seed}")

    def colour() -> tuple[int, int, int]:
        return rng.randrange(256), rng.randrange(256), rng.randrange(256)

    big = (2 * size[0], 2 * size[1])
    picture = Image.new("RGB", big, colour())
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.randint(3, 6)):
        x, y = rng.randrange(big[0]), rng.randrange(big[1])
        wide, high = rng.randint(big[0] // 8, big[0] // 2), rng.randint(big[1] // 8, big[1] // 2)
        shape = rng.choice((pen.ellipse, pen.rectangle))
        shape(
            (x - wide // 2, y - high // 2, x + wide // 2, y + high // 2), fill=colour(), outline=(20, 20, 20), width=4
        )
    return picture.resize(size, Image.Resampling.LANCZOS)


def stamped(picture: Image.Image, text: str = "@somebody") -> Image.Image:
    """With a half-transparent signature in the lower right corner."""
    width, height = picture.size
    layer = Image.new("RGBA", picture.size)
    font = ImageFont.load_default(max(10, height // 14))
    ImageDraw.Draw(layer).text((width - 6, height - 4), text, font=font, fill=(255, 255, 255, 200), anchor="rs")
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def framed(picture: Image.Image, bar: int, colour: str = "black") -> Image.Image:
    """With bars at the top and the bottom, as films have."""
    whole = Image.new("RGB", (picture.width, picture.height + 2 * bar), colour)
    whole.paste(picture, (0, bar))
    return whole


def captioned(path: Path, picture: Image.Image, caption: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    path.with_suffix(".txt").write_text(caption, encoding="utf-8")
    return path
