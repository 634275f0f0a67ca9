"""An engine for tests of what surrounds engines: it draws circles by Pillow in no time, and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hubman.generate.client import OnPreview
from hubman.generate.infotext import infotext_of
from hubman.generate.pictures import Chunk, EngineNote, public, save_png
from hubman.generate.protocol import Picture
from hubman.generate.request import DrawRequest
from hubman.progress import Report, silent


class Painter:
    """Draws circles by Pillow whose greyness follows the strength of the first LoRA, and counts what it drew."""

    def __init__(self, stop_after: int = 10_000, dtype: str = "float32") -> None:
        self.drawn: list[DrawRequest] = []
        self._stop_after, self._dtype = stop_after, dtype

    def draw(
        self,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int = 0,
        report: Report = silent,
        cancelled: Callable[[], bool] = lambda: False,
        preview: OnPreview | None = None,
    ) -> Iterator[Picture]:
        for number, request in enumerate(requests):
            if number == self._stop_after:
                raise KeyboardInterrupt
            self.drawn.append(request)
            path = out / f"{request.key()}.png"
            note = EngineNote(dtype=self._dtype, device="cpu", batch=1, versions={})
            chunk = Chunk(key=request.key(), request=public(request), engine=note)
            save_png(self._paint(request), path, infotext_of(request, size=(64, 64), model="m"), chunk)
            yield Picture(id=1, key=request.key(), path=str(path), seconds=0.1)

    @staticmethod
    def _paint(request: DrawRequest) -> Image.Image:
        strength = min(1.0, max(0.0, request.loras[0].strength)) if request.loras else 0.0
        y, x = np.mgrid[:64, :64]
        across = 20 + request.seed % 25
        inside = (x - across) ** 2 + (y - 32) ** 2 < (200 if "circle" in request.prompt else 900)
        plain = np.where(inside[..., None], (0.8, 0.2, 0.1), (0.3, 0.5, 0.6))
        styled = plain.mean(axis=-1, keepdims=True) * np.ones(3)
        pixels = plain + strength * (styled - plain)
        return Image.fromarray((pixels * 255).astype(np.uint8))
