"""Drawing for the library: single pictures, strength sweeps with their curve, and grids over any axes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from hubman import tinybase
from hubman.generate import sweep as sweeps
from hubman.generate.again import Likeness, compare, differences, request_of_picture, with_neighbours
from hubman.generate.asked import Asked, grid_of
from hubman.generate.client import Engine
from hubman.generate.curve import write_csv
from hubman.generate.grids.cells import cell_path, draw_grid, draw_requests, store_of
from hubman.generate.grids.grid import GRID_FILE, load_grid, moved, save_grid
from hubman.generate.grids.layout import in_reading_order
from hubman.generate.grids.sheet import write_sheets
from hubman.generate.naming import located, lora_use
from hubman.generate.pictures import read_info
from hubman.generate.record import Stop, Sweep, generations_folder, keep_sweep, write_down
from hubman.generate.request import DrawRequest
from hubman.generate.suggestion import suggest_strength
from hubman.generate.training_images import training_images
from hubman.progress import Report
from registry import ids
from registry.database import Registry


def draw(
    registry: Registry,
    engine: Engine,
    request: DrawRequest,
    seeds: Sequence[int],
    *,
    batch: int = 0,
    report: Report,
    should_stop: Stop,
) -> list[str]:
    """Draw one request with each seed, at most ``batch`` at a time (0: as the engine finds room); returns the pictures' paths."""
    folder = generations_folder(registry) / datetime.now(UTC).strftime("%Y-%m-%d")
    requests = [msgspec.structs.replace(request, seed=seed) for seed in seeds]
    for _ in draw_requests(requests, folder, engine, batch=batch, report=report, cancelled=should_stop):
        pass
    write_down(registry, requests, folder, None)
    return [str(cell_path(folder, each)) for each in requests]


def draw_again(
    registry: Registry,
    engine: Engine,
    picture: Path,
    base: str = "",
    *,
    folder: Path,
    report: Report,
    should_stop: Stop,
) -> tuple[str, Likeness | None, tuple[str, ...]]:
    """Draw a picture once more into ``folder``: the new one's path, how it compares, and why it may differ.

    Only one of hubman's is compared: another program's is drawn anew, as near as its settings can be read.
    """
    again = request_of_picture(registry, picture, base)
    requests = with_neighbours(again)
    path = cell_path(folder, again.request)
    for drawn in draw_requests(requests, folder, engine, batch=len(requests), report=report, cancelled=should_stop):
        if drawn != path:
            drawn.unlink()
    now = read_info(path)[1]
    if again.chunk is None or now is None:
        return str(path), None, again.remarks
    return str(path), compare(picture, path), differences(again.chunk.engine, now.engine)


def sweep_strengths(
    registry: Registry,
    engine: Engine,
    version_id: str,
    request: DrawRequest,
    *,
    strengths: Sequence[float],
    seeds: Sequence[int],
    contrast: str = "",
    clip: Path | None = None,
    report: Report,
    should_stop: Stop,
    sweep_id: str = "",
) -> Sweep:
    """Draw one LoRA at several strengths, measure what it does, and suggest a strength.

    Strength 0 is always drawn. A sweep that was interrupted goes on when called again with its ``sweep_id``.
    """
    use = lora_use(registry, version_id)
    plan = sweeps.strength_sweep(
        msgspec.structs.replace(request, loras=(use, *request.loras)),
        use.name,
        strengths=strengths,
        seeds=seeds,
        contrast=contrast,
    )
    sweep_id = sweep_id or ids.new_id()
    store = generations_folder(registry)
    folder = store / sweep_id
    grid = plan.grid()
    save_grid(grid, folder)
    for _ in draw_requests(plan.requests(), store, engine, report=report, cancelled=should_stop):
        pass
    training = training_images(registry, version_id)
    curve = engine.measure(plan, store, clip=clip, training=training, report=report, cancelled=should_stop)
    write_csv(curve, folder / "curve.csv")
    suggestion = suggest_strength(curve)
    done = Sweep(
        id=sweep_id,
        folder=str(folder),
        grid_path=str(write_sheets(grid, store, folder / "grid.png")[0]),
        images=tuple(str(cell_path(store, cell.request)) for cell in in_reading_order(grid)),
        curve=curve,
        suggestion=suggestion,
    )
    keep_sweep(registry, done, version_id, plan.lora, plan)
    write_down(registry, [cell.request for cell in grid.cells], store, sweep_id)
    return done


def draw_axes(
    registry: Registry, engine: Engine, told: Asked, *, report: Report, should_stop: Stop, grid_id: str = ""
) -> Sweep:
    """Draw a grid over any axes. With the ``grid_id`` of one that was begun before, what its plan lacks is drawn."""
    grid_id = grid_id or ids.new_id()
    folder = generations_folder(registry) / grid_id
    # What was begun goes on by its plan, whatever the library calls its files by now.
    grid = (
        moved(load_grid(folder), lambda request: located(registry, request))
        if (folder / GRID_FILE).is_file()
        else grid_of(registry, told)
    )
    for _ in draw_grid(grid, folder, engine, batch=told.batch, report=report, cancelled=should_stop):
        pass
    store = store_of(folder)
    done = Sweep(
        id=grid_id,
        folder=str(folder),
        grid_path=str(write_sheets(grid, store, folder / "grid.png")[0]),
        images=tuple(str(cell_path(store, cell.request)) for cell in in_reading_order(grid)),
    )
    keep_sweep(registry, done, next(iter(told.version_ids), None), grid.title, grid.axes)
    write_down(registry, grid.requests().values(), store, grid_id)
    return done


def clip_for(base: Path) -> Path | None:
    """The CLIP that scores pictures of a base: the embedded one knows only what the embedded base draws."""
    return tinybase.CLIP if base == tinybase.MODEL else None
