"""A picture by the terminal's own protocol, through textual-image. Imported only where the terminal has one."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image as Pillow
from textual.app import ComposeResult
from textual.containers import Center
from textual.geometry import Size
from textual_image.widget import SixelImage, TGPImage

from tui.decoding import decoded
from tui.widgets.blocks import fit_cells


class RealPicture(Center):
    """Holds the one picture; nothing is drawn until it is shown one."""

    DEFAULT_CSS = "RealPicture { width: 1fr; height: 1fr; }"

    def __init__(self, method: Literal["kitty", "sixel"]) -> None:
        super().__init__()
        self._image: TGPImage | SixelImage = TGPImage() if method == "kitty" else SixelImage()

    def compose(self) -> ComposeResult:
        yield self._image

    async def show(self, source: Path | bytes, room: Size) -> None:
        """Show the picture in a file, or in its bytes, as large as ``room`` cells allow; an unreadable one clears."""
        image = await decoded(_opened, source)
        if image is None:
            self.clear()
            return
        columns, rows = fit_cells(*image.size, room.width, room.height)
        self._image.styles.width, self._image.styles.height = columns, rows
        self._image.image = image

    def clear(self) -> None:
        self._image.image = None


def _opened(source: Path | bytes) -> Pillow.Image | None:
    try:
        with Pillow.open(source if isinstance(source, Path) else BytesIO(source)) as image:
            return image.convert("RGB")
    except (OSError, ValueError, Pillow.DecompressionBombError):
        return None
