"""What a job asks to be drawn: words, settings and axes as plain JSON, made into requests and grids."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from hubman import bases
from hubman.generate.grids.grid import Grid, make_grid
from hubman.generate.grids.spec import AxisSpec, build_axis, parse_axis
from hubman.generate.naming import LibrarySources, lora_use, read_prompt
from hubman.generate.pictures import refuse_no_picture
from hubman.generate.prompt_tags import format_number
from hubman.generate.request import DrawRequest, Hires, LoraUse, Mode, check
from hubman.generate.sweep import StrengthSweep, strength_sweep
from registry.database import Registry
from registry.decodable import decodable
from registry.errors import NotFoundError, UsageError

_PLAIN = (
    "steps", "cfg", "sampler", "schedule", "width", "height", "clip_skip", "emphasis", "denoise", "hires", "mode",
    "switch_every",
)  # fmt: skip


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ``generate`` or ``sweep`` job's request. What is None takes what suits the base, else the default."""

    prompt: str
    """With ``<lora:…>`` tags and ``{slots}``."""
    negative: str = ""
    slots: dict[str, str] = {}
    base: str = bases.EMBEDDED
    seeds: tuple[int, ...] = (0,)
    steps: int | None = None
    cfg: float | None = None
    sampler: str | None = None
    schedule: str | None = None
    width: int | None = None
    height: int | None = None
    clip_skip: int | None = None
    emphasis: str | None = None
    init: str = ""
    denoise: float | None = None
    hires: Hires | None = None
    vae: str = ""
    mode: Mode | None = None
    switch_every: int | None = None
    version_ids: tuple[str, ...] = ()
    """LoRAs that come before those of the prompt, at their recommended strengths."""
    strengths: tuple[float, ...] = ()
    axes: tuple[str, ...] = ()
    """As :func:`~hubman.generate.grids.spec.parse_axis` reads them; without any, ``strengths`` of each version."""
    contrast: str = ""
    grid_id: str = ""
    """A grid that was begun before, to go on with."""
    batch: int = 0
    """Pictures that are drawn together; 0 = as many as suit the machine."""


def asked(request: Mapping[str, Any]) -> Asked:
    """A job's request as a record. Raises ``UsageError`` for one that holds something else."""
    try:
        return msgspec.convert({name: value for name, value in request.items() if value is not None}, decodable(Asked))
    except msgspec.ValidationError as error:
        raise UsageError(f"the request can't be drawn: {error}") from error


def settings_of(told: Asked) -> DrawRequest:
    """Its settings as a request without words and LoRAs. Raises ``HubError`` for files that are not there."""
    base = bases.find(told.base)
    chosen = {name: value for name in _PLAIN if (value := getattr(told, name)) is not None}
    files = {**_file("init", told.init), **_file("vae", told.vae)}
    return DrawRequest(base=str(base), prompt="", **{**bases.drawing(base), **chosen, **files})


def _file(field: str, given: str) -> dict[str, str]:
    """A file that a request names, by its content too; a VAE may be a folder, which has no hash."""
    if not given:
        return {}
    path = Path(given).expanduser().absolute()
    if path.is_dir() and field == "vae":
        return {field: str(path)}
    try:
        with path.open("rb") as file:
            if field == "init":
                refuse_no_picture(path)
            return {field: str(path), f"{field}_sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        raise NotFoundError(
            f"{given} can't be read ({error.strerror})", f"{field} is a file of this machine"
        ) from error


def request_of(registry: Registry, told: Asked) -> DrawRequest:
    """The picture that is asked for, with the first seed. Raises ``HubError``."""
    return _with_versions(registry, told, _template(registry, told, ()))


def curve_of(registry: Registry, told: Asked) -> StrengthSweep | None:
    """The strength sweep that is asked for: of one version, along no other axes; None for a grid. Raises ``HubError``."""
    if told.axes or len(told.version_ids) != 1:
        return None
    request = request_of(registry, told)
    return strength_sweep(
        request, request.loras[0].name, strengths=told.strengths, seeds=told.seeds, contrast=told.contrast
    )


def grid_of(registry: Registry, told: Asked) -> Grid:
    """The grid that is asked for. Raises ``HubError`` that says which axis or value cannot be."""
    specs = [parse_axis(text) for text in told.axes]
    request = _with_versions(registry, told, _template(registry, told, specs))
    specs = specs or [
        AxisSpec(kind="strength", target=f"#{number + 1}", values=", ".join(map(format_number, told.strengths)))
        for number in range(len(told.version_ids))
    ]
    if len(told.seeds) > 1 and not any(spec.kind == "seed" for spec in specs):
        specs.append(AxisSpec(kind="seed", values=", ".join(map(str, told.seeds))))
    sources = LibrarySources(registry)
    axes = [build_axis(spec, request, sources) for spec in specs]
    names = " x ".join(dict.fromkeys(axis.label for axis in axes))
    return make_grid(request, axes, title=f"{names}: {request.prompt}")


def _template(registry: Registry, told: Asked, specs: list[AxisSpec] | tuple[()]) -> DrawRequest:
    # A slot that an axis fills stays as it is until then.
    slots = {**{spec.target: f"{{{spec.target}}}" for spec in specs if spec.kind == "slot"}, **told.slots}
    return read_prompt(registry, told.prompt, told.negative, settings_of(told), slots)


def _with_versions(registry: Registry, told: Asked, request: DrawRequest) -> DrawRequest:
    first: list[LoraUse] = [lora_use(registry, version) for version in told.version_ids]
    whole = msgspec.structs.replace(request, loras=(*first, *request.loras), seed=told.seeds[0] if told.seeds else 0)
    check(whole)
    return whole
