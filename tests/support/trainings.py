"""Jobs that look as if they had trained: recipe, losses, validations and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubman.jobs.records import Job
from hubman.progress import Progress
from hubman.train import presets
from hubman.train.recipe import Recipe, write_recipe
from hubman.train.recipe_fields import changed
from registry.database import Registry
from tests.support import library_factory
from tests.support.jobs import fake_job

PROMPTS = ("zvk style, a lighthouse at night", "zvk style, a portrait")


def recipe(folder: Path, changes: Mapping[str, Any]) -> Recipe:
    """A style on SD 1.5 for 60 images in ``folder``, of 100 steps and five epochs."""
    made = presets.preset("style", "sd15", 60, base=str(folder), dataset=str(folder), output="ink")
    return changed(made, {"length.steps": 100, **changes})


def events(folder: Path, validations: Sequence[float], steps: int = 100) -> list[Progress]:
    """A run of five epochs as far as it has ``validations``, the base's first; its samples go into ``folder``."""
    pictures = iter(library_factory.write_pictures(folder, len(validations) * len(PROMPTS)))
    told: list[Progress] = []
    each = steps // 5
    for epoch, validation in enumerate(validations):
        for step in range((epoch - 1) * each + 1, epoch * each + 1) if epoch else ():
            data = {"step": step, "loss": 1 / step, "lr": 1e-4, "eta": (steps - step) / 2, "speed": 2.0}
            told.append(Progress(stage="train", done=step, total=steps, unit="steps", data=data))
        for number, prompt in enumerate(PROMPTS, 1):
            shown = {"image": str(next(pictures)), "epoch": epoch, "prompt": prompt}
            told.append(Progress(stage="sample", done=number, total=len(PROMPTS), unit="images", data=shown))
        data = {"step": epoch * each, "epoch": epoch, "validation": validation}
        told.append(Progress(stage="validate", data=data))
        if epoch:
            lowest = min(range(1, epoch + 1), key=lambda number: validations[number])
            reason = f"epoch {lowest} of 5: the lowest loss"
            told.append(Progress(stage="best", message=reason, data={"best": lowest, "reason": reason}))
    return told


def training(
    registry: Registry, folder: Path, name: str, validations: Sequence[float], *, state: str = "running",
    result: object = None, error: str | None = None, changes: Mapping[str, Any] | None = None,
) -> Job:  # fmt: skip
    """A training job of that name with a recipe of its own in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    write_recipe(path, recipe(folder, changes or {}))
    told = events(folder / name, validations)
    request = {"recipe": str(path)}
    return fake_job(registry, "train", f"train {name}", request, state=state, events=told, result=result, error=error)
