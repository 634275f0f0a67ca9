"""Drawing for the library: names become files, and what was drawn is written down beside the models it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from hubman import tinybase
from hubman.generate import export
from hubman.generate import prompt as prompts
from hubman.generate import sweep as sweeps
from hubman.generate.client import Engine
from hubman.generate.curve import Curve, write_csv
from hubman.generate.pictures import public
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.suggestion import Suggestion, suggest_strength
from hubman.generate.training_images import training_images
from hubman.images import dialects
from hubman.images.found import merged
from hubman.progress import Report
from registry import ids, library, prompt_name, scan, timestamps, usage
from registry.database import Registry
from registry.errors import HubError, NotFoundError
from registry.hashing import hash_file

Stop = Callable[[], bool]
DEFAULT_STRENGTH = 0.8


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """A drawn strength sweep (with its curve) or grid (without one)."""

    id: str
    folder: str
    grid_path: str
    images: tuple[str, ...]
    curve: Curve | None = None
    suggestion: Suggestion | None = None


def lora_use(registry: Registry, version_id: str, strength: float | None = None) -> LoraUse:
    """A version as part of a picture, at its recommended strength unless another is given.

    Raises :class:`HubError` when its file is not on this machine.
    """
    version = library.version(registry, scan.hashed(registry, version_id))
    model = library.show(registry, version.model_id)
    for file in version.files:
        for place in file.places:
            if place.state == "present" and Path(place.path).is_file():
                chosen = version.strength if version.strength is not None else DEFAULT_STRENGTH
                return LoraUse(
                    path=place.path,
                    name=_tag_name(prompt_name.of(model, version)),
                    sha256=file.sha256,
                    strength=chosen if strength is None else strength,
                    trigger_words=version.trigger_words,
                )
    raise HubError(f"the file of {model.name} is not on this machine", "hubman sync or hubman pull brings it here")


def _tag_name(text: str) -> str:
    return "".join("_" if sign in "<>:," else sign for sign in text).strip()


def find_lora(registry: Registry, name: str) -> LoraUse:
    """The LoRA that ``<lora:name:…>`` means. Raises :class:`NotFoundError`."""
    try:
        return lora_use(registry, prompt_name.find(registry, name)[1])
    except NotFoundError as error:
        raise NotFoundError(
            f"the prompt names a LoRA {name} that is not in the library", "hubman ls shows what is there"
        ) from error


def read_prompt(registry: Registry, text: str, negative: str, settings: DrawRequest) -> DrawRequest:
    """``settings`` with the words and LoRAs of a typed prompt."""
    prompts.refuse_tags(negative)
    parsed = prompts.parse(text)
    uses = prompts.loras_of(parsed, lambda name: find_lora(registry, name))
    return msgspec.structs.replace(settings, prompt=parsed.text, negative=negative, loras=uses)


def generations_folder(registry: Registry) -> Path:
    return registry.home / "generations"


def draw(
    registry: Registry, engine: Engine, request: DrawRequest, seeds: Sequence[int], *, report: Report, should_stop: Stop
) -> list[str]:
    """Draw one request with each seed; returns the pictures' paths."""
    folder = generations_folder(registry) / datetime.now(UTC).strftime("%Y-%m-%d")
    requests = [msgspec.structs.replace(request, seed=seed) for seed in seeds]
    for _ in sweeps.draw_requests(requests, folder, engine, report=report, cancelled=should_stop):
        pass
    _write_down(registry, requests, folder, None)
    return [str(sweeps.cell_path(folder, each)) for each in requests]


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
    folder = generations_folder(registry) / sweep_id
    grid = plan.grid()
    sweeps.save_grid(grid, folder)
    for _ in sweeps.draw_requests(plan.requests(), folder, engine, batch=8, report=report, cancelled=should_stop):
        pass
    training = training_images(registry, version_id)
    curve = engine.measure(plan, folder, clip=clip, training=training, report=report)
    write_csv(curve, folder / "curve.csv")
    suggestion = suggest_strength(curve)
    done = Sweep(
        id=sweep_id,
        folder=str(folder),
        grid_path=str(export.grid_png(grid, folder, folder / "grid.png")),
        images=tuple(str(sweeps.cell_path(folder, cell.request)) for cell in grid.cells),
        curve=curve,
        suggestion=suggestion,
    )
    _keep_sweep(registry, done, version_id, plan)
    _write_down(registry, [cell.request for cell in grid.cells], folder, sweep_id)
    return done


def combine(
    registry: Registry,
    engine: Engine,
    versions: tuple[str, str],
    request: DrawRequest,
    *,
    strengths: Sequence[float],
    report: Report,
    should_stop: Stop,
    sweep_id: str = "",
) -> Sweep:
    """Draw two LoRAs at every pair of strengths."""
    across, down = (lora_use(registry, version) for version in versions)
    plan = sweeps.two_lora_grid(
        msgspec.structs.replace(request, loras=(across, down)),
        across.name,
        down.name,
        strengths=strengths,
        other_strengths=strengths,
    )
    sweep_id = sweep_id or ids.new_id()
    folder = generations_folder(registry) / sweep_id
    for _ in sweeps.draw_grid(plan, folder, engine, batch=8, report=report, cancelled=should_stop):
        pass
    done = Sweep(
        id=sweep_id,
        folder=str(folder),
        grid_path=str(export.grid_png(plan, folder, folder / "grid.png")),
        images=tuple(str(sweeps.cell_path(folder, cell.request)) for cell in plan.cells),
    )
    _keep_sweep(registry, done, versions[0], plan)
    _write_down(registry, [cell.request for cell in plan.cells], folder, sweep_id)
    return done


def clip_for(base: Path) -> Path | None:
    """The CLIP that scores pictures of a base: the embedded one knows only what the embedded base draws."""
    return tinybase.CLIP if base == tinybase.MODEL else None


def _keep_sweep(registry: Registry, sweep: Sweep, version_id: str, plan: Any) -> None:
    name = plan.lora if isinstance(plan, sweeps.StrengthSweep) else plan.title
    with registry.transaction() as db:
        db.execute(
            "INSERT OR REPLACE INTO sweeps (id, name, version_id, plan, curve, suggested, grid_path, created_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                sweep.id, name, version_id, msgspec.json.encode(plan).decode(), msgspec.json.encode(sweep.curve).decode(),
                sweep.suggestion.strength if sweep.suggestion else None, sweep.grid_path, timestamps.now(),
            ),
        )  # fmt: skip


def _write_down(registry: Registry, requests: Sequence[DrawRequest], folder: Path, sweep_id: str | None) -> None:
    """A row for each picture, and one for each LoRA file in it: "used in" asks for these."""
    distinct = {request.key(): request for request in requests}
    rows = [(key, request, sweeps.cell_path(folder, request)) for key, request in distinct.items()]
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
