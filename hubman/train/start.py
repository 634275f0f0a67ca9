"""A recipe becomes a job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.train.recipe import Recipe, write_recipe
from registry.database import Registry


def start(registry: Registry, recipe: Recipe, reasons: Mapping[str, str], *, force: bool = False) -> Job:
    """Write the recipe, with its reasons as comments, into a new job's folder and start the job's process.

    ``force`` trains in spite of what the dataset's checks call errors.
    """
    job = store.add(registry, "train", f"train {recipe.output}", {})
    path = Path(job.folder) / "recipe.toml"
    write_recipe(path, recipe, reasons)
    job = store.set_request(registry, job.id, {"recipe": str(path), "force": force})
    store.spawn(registry, job)
    return job
