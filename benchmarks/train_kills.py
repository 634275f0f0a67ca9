"""A training that is killed at random instants ends with the very same weights: python benchmarks/train_kills.py [--kills N].

Jobs of the real kind on the embedded base, killed with SIGKILL wherever they are (starting, encoding, training, drawing,
writing) and resumed. How far each one got is told; the weights are compared bit by bit with those of a job that was
left alone.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from safetensors.torch import load_file

from hubman import tinybase
from hubman.demo.datasets import draw_dataset
from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.train import recipe_fields
from hubman.train.presets import preset
from hubman.train.recipe import write_recipe
from registry.database import Registry

STEPS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Registry(Path(folder) / "home") as registry:
        recipe = write(Path(folder))
        began = time.monotonic()
        alone = finish(registry, store.start(registry, "train", "alone", {"recipe": str(recipe), "force": True}))
        whole = time.monotonic() - began
        job = store.start(registry, "train", "killed", {"recipe": str(recipe), "force": True})
        rng = random.Random(options.seed)
        for number in range(1, options.kills + 1):
            job = killed_after(registry, job, rng.uniform(0, whole))
            if job.state == "done":
                print(f"done after {number - 1} kills; once more from the start")
                compare(alone, job)
                job = store.start(registry, "train", "killed", {"recipe": str(recipe), "force": True})
            else:
                print(f"kill {number}: {where(job)}; its row says: {job.error}")
                job = store.resume(registry, job.id)
        compare(alone, finish(registry, job))
        print(f"{options.kills} kills, every run that ended has the same weights")


def write(folder: Path) -> Path:
    """The recipe, on images that are drawn now."""
    pictures = draw_dataset(folder / "pictures", "pastel", images=12)
    start = preset("style", "tiny", 12, base=str(tinybase.MODEL), dataset=str(pictures), output="killed")
    changes = {"length.steps": STEPS, "length.epochs": 3, "watch.save_every": 7, "trigger": "softpal"}
    write_recipe(folder / "in.toml", recipe_fields.changed(start, changes))
    return folder / "in.toml"


def killed_after(registry: Registry, job: Job, seconds: float) -> Job:
    """The job once it ended by itself or was killed after so long."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and not store.look(registry, job.id).ended:
        time.sleep(0.02)
    store.kill(store.get(registry, job.id))
    while not (now := store.look(registry, job.id)).ended:
        time.sleep(0.02)
    return now


def finish(registry: Registry, job: Job) -> Job:
    ended = store.follow(registry, job.id, lambda _: None)
    if ended.state != "done":
        sys.exit(f"the job {ended.state}: {ended.error}")
    return ended


def where(job: Job) -> str:
    """The last thing that the job said."""
    events = store.events(job)[0]
    return f"{events[-1].stage} {events[-1].done:g}" if events else "before its first word"


def compare(one: Job, other: Job) -> None:
    a, b = (load_file((job.result or {})["path"]) for job in (one, other))
    if a.keys() != b.keys() or not all(bool((a[name] == b[name]).all()) for name in a):
        sys.exit("the weights differ")


if __name__ == "__main__":
    main()
