"""A request with LoRAs that no engine need draw, and grids of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hubman.generate.grids.grid import Grid, make_grid
from hubman.generate.grids.spec import build_axis, parse_axis
from hubman.generate.request import DrawRequest, LoraUse
from registry.errors import NotFoundError

INK = LoraUse(path="ink.safetensors", name="ink", sha256="a" * 64)
NEON = LoraUse(path="neon.safetensors", name="neon", sha256="b" * 64)
CLAY = LoraUse(path="clay.safetensors", name="clay", sha256="c" * 64)
REQUEST = DrawRequest(base="base", prompt="inkwash circle, {mood} sky", negative="blur", loras=(INK, NEON))
THREE = msgspec.structs.replace(REQUEST, loras=(INK, NEON, CLAY))
ONE = msgspec.structs.replace(REQUEST, loras=(INK,))


class Shelf:
    """Files that axes may name."""

    def lora(self, name: str) -> LoraUse:
        found = {use.name: use for use in (INK, NEON, CLAY)}
        if name not in found:
            raise NotFoundError(f"no LoRA {name}")
        return found[name]

    def epochs(self, use: LoraUse) -> Sequence[tuple[int | None, LoraUse]]:
        first = msgspec.structs.replace(use, name=f"{use.name}-000001", sha256="1" * 64)
        return [(1, first), (None, use)]

    def base(self, ref: str) -> tuple[str, str, str]:
        return ref, f"/models/{ref}", ""


def made_grid(*axes: str, request: DrawRequest = REQUEST) -> Grid:
    return make_grid(request, [build_axis(parse_axis(text), request, Shelf()) for text in axes], title="t")


def strengths_of(grid: Grid) -> list[tuple[float, ...]]:
    return [tuple(use.strength for use in cell.request.loras) for cell in grid.cells]
