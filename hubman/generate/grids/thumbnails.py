"""Pictures and labels that fit into boxes."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageFont

from registry.errors import DamagedFileError

PAPER = "#ffffff"
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def size_of(path: Path) -> tuple[int, int]:
    """(width, height) in pixels, from the header. Raises ``DamagedFileError``."""
    try:
        with Image.open(path) as opened:
            return opened.size
    except (OSError, SyntaxError, ValueError) as error:
        raise DamagedFileError(f"{path} is not a picture that can be read ({error})") from error


def open_picture(path: Path) -> Image.Image:
    """The pixels as RGB. Raises ``DamagedFileError``."""
    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise DamagedFileError(f"{path} is not a picture that can be read ({error})") from error


def fitted(image: Image.Image, box: tuple[int, int]) -> Image.Image:
    """``image`` as large as ``box`` (width, height) allows, its shape kept; enlarged pixels stay squares."""
    scale = min(box[0] / image.width, box[1] / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def fit_text(text: str, font: Font, width: float) -> str:
    """``text`` on one line, cut to ``width`` pixels."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    # A character is at least a pixel wide: so a long prompt is not measured once for each of its characters.
    text = text[: max(0, int(width))]
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def numbered(path: Path, count: int) -> list[Path]:
    """``path`` for one file, for more ``NAME-01``, ``NAME-02``, … beside it."""
    if count == 1:
        return [path]
    digits = max(2, len(str(count)))
    return [path.with_name(f"{path.stem}-{number:0{digits}}{path.suffix}") for number in range(1, count + 1)]
