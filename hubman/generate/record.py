"""What was drawn, written down beside the models it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from hubman.generate.curve import Curve
from hubman.generate.grids.cells import cell_path
from hubman.generate.pictures import public
from hubman.generate.request import DrawRequest
from hubman.generate.suggestion import Suggestion
from hubman.images import dialects
from hubman.images.found import merged
from registry import ids, timestamps, usage
from registry.database import Registry
from registry.hashing import hash_file

Stop = Callable[[], bool]


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """A drawn strength sweep (with its curve) or grid (without one)."""

    id: str
    folder: str
    grid_path: str
    images: tuple[str, ...]
    curve: Curve | None = None
    suggestion: Suggestion | None = None


def generations_folder(registry: Registry) -> Path:
    """Where grids and pictures are kept; it is also the store that all grids draw from."""
    return registry.home / "generations"


_MEASURED = (
    "INSERT OR REPLACE INTO sweeps (id, name, version_id, plan, curve, suggested, grid_path, created_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_DRAWN = (
    "INSERT INTO sweeps (id, name, version_id, plan, curve, suggested, grid_path, created_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET grid_path = excluded.grid_path"
)


def keep_sweep(registry: Registry, sweep: Sweep, version_id: str | None, name: str, plan: object) -> None:
    """A row for a sweep or grid that is drawn. ``plan`` is the sweep, or the grid's axes.

    A grid that was kept before, maybe as a sweep with its curve, stays as it is: going on with it tells nothing new of it.
    """
    with registry.transaction() as db:
        db.execute(
            _MEASURED if sweep.curve else _DRAWN,
            (
                sweep.id, name, version_id, msgspec.json.encode(plan).decode(), msgspec.json.encode(sweep.curve).decode(),
                sweep.suggestion.strength if sweep.suggestion else None, sweep.grid_path, timestamps.now(),
            ),
        )  # fmt: skip


def write_down(registry: Registry, requests: Iterable[DrawRequest], store: Path, sweep_id: str | None) -> None:
    """A row for each picture, and one for each LoRA file in it: "used in" asks for these."""
    distinct = {request.key(): request for request in requests}
    rows = [(key, request, cell_path(store, request)) for key, request in distinct.items()]
    hashes = [hash_file(path).sha256 for _, _, path in rows]
    with registry.transaction() as db:
        for (key, request, path), sha256 in zip(rows, hashes, strict=True):
            at = timestamps.now()
            usage.record(db, [_drawing(request, path, at)])
            known = db.execute("SELECT 1 FROM generations WHERE key = ? AND path = ?", (key, str(path))).fetchone()
            if known:
                continue
            generation = ids.new_id()
            db.execute(
                "INSERT INTO generations (id, key, path, sha256, sweep_id, request, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (generation, key, str(path), sha256, sweep_id, msgspec.json.encode(request).decode(), at),
            )
            db.executemany(
                "INSERT OR IGNORE INTO generation_files VALUES (?, ?)",
                [(generation, use.sha256) for use in request.loras],
            )


def _drawing(request: DrawRequest, path: Path, at: str) -> usage.Drawing:
    """As a scan of the folder would read it from the picture."""
    chunk = {"request": msgspec.json.decode(msgspec.json.encode(public(request)))}
    found = dialects.own(chunk)
    uses = merged(found.uses) if found else ()
    key = usage.drawn_here(request.key())
    return usage.Drawing(content=key, made_at=at, tool="hubman", path=str(path), uses=uses, prompt=request.prompt)
