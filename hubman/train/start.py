"""A recipe becomes a job."""

from __future__ import annotations

from pathlib import Path

from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.train.clashes import refuse_clashes
from hubman.train.recipe import Recipe, write_recipe
from registry.database import Registry


def start(registry: Registry, recipe: Recipe, *, force: bool = False) -> Job:
    """Write the recipe into a new job's folder and start the job's process.

    ``force`` trains in spite of what the dataset's checks call errors. Raises UsageError for settings that clash.
    """
    refuse_clashes(recipe)
    job = store.add(registry, "train", f"train {recipe.output}", {})
    path = Path(job.folder) / "recipe.toml"
    write_recipe(path, recipe)
    job = store.set_request(registry, job.id, {"recipe": str(path), "force": force})
    store.spawn(registry, job)
    return job
