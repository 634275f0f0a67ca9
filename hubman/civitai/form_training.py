"""What is known of the training that made a file, as the form's fields and as facts for its description."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from hubman.train.recipe_versions import upgraded
from registry.errors import UsageError
from registry.records import FileRow, RunRow
from registry.training_settings import training_settings

_RANGES = {"steps": (0, 2**31 - 1), "epochs": (0, 100_000), "clip_skip": (1, 12)}
"""What Civitai takes."""
_ENTRIES = {"steps": ("ss_steps",), "epochs": ("ss_epoch", "ss_num_epochs"), "clip_skip": ("ss_clip_skip",)}


def settings(run: RunRow | None, file: FileRow) -> tuple[dict[str, Any], dict[str, str]]:
    """(``steps``, ``epochs`` and ``clip_skip`` as far as they are known, their sources).

    The header of this very file counts first: another epoch of the same training was trained for less long.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    recorded: dict[str, object] = {} if run is None else {**_recorded(run), "steps": run.steps}
    for name, (low, high) in _RANGES.items():
        told = [(file.metadata.get(entry), "header") for entry in _ENTRIES[name]] + [(recorded.get(name), "training")]
        for value, source in told:
            number = _whole(value)
            if number is not None and low <= number <= high:
                values[name], sources[name] = number, "training" if run is not None else source
                break
    return values, sources


def facts(run: RunRow | None, file: FileRow) -> dict[str, str]:
    """``images rank alpha network resolution batch learning_rate checkpoint``, those that are known, to be printed."""
    rows = {row.name: row.value for row in training_settings(file.metadata)}
    recipe = _recorded(run) if run is not None else {}
    known = {
        "images": rows.get("images") or rows.get("images with repeats", ""),
        "rank": str(file.rank or ""),
        "alpha": "" if file.alpha is None else f"{file.alpha:g}",
        "network": _network(file),
        "resolution": _sides(recipe.get("resolutions")) or rows.get("resolution", ""),
        "batch": _told(recipe.get("batch")) or rows.get("batch size", ""),
        "learning_rate": _told(recipe.get("unet_lr")) or rows.get("learning rate", ""),
        # What a trainer writes may be a path of the machine that it ran on.
        "checkpoint": PurePath(rows.get("base model", "").replace("\\", "/")).name,
    }
    is_trained = run is not None or "ss_steps" in file.metadata or "training_info" in file.metadata
    return {name: value for name, value in known.items() if value} if is_trained else {}


def _recorded(run: RunRow) -> dict[str, object]:
    """The fields of a run's recipe by their own names, without their sections; nothing of one that can't be read."""
    try:
        recipe = upgraded(run.recipe)
    except UsageError:
        return {}
    sections = [value for value in recipe.values() if isinstance(value, dict)]
    return {name: value for section in sections for name, value in section.items()}


def _sides(value: object) -> str:
    return ", ".join(filter(None, map(_told, value))) if isinstance(value, list | tuple) else ""


def _network(file: FileRow) -> str:
    if not file.rank:
        return file.network_type or ""
    alpha = f", alpha {file.alpha:g}" if file.alpha is not None else ""
    return f"{file.network_type or 'lora'}, rank {file.rank}{alpha}"


def _told(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _whole(value: object) -> int | None:
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    is_number = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 12
    return int(value) if is_number and isinstance(value, str) else None
