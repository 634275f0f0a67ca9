"""The bars of the trainer: python benchmarks/train.py [--steps N] [--keep DIR] [PART…]; parts: step memory start demo.

SD 1.5 at full size with random weights, 256 px, batch 1, rank 8 on the 192 attention and feed-forward modules. Every
measurement runs in a process of its own, beside a plain PyTorch loop over the same layers (``train_bare.py``).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.bars import AT_MOST, TIMES, Measure, report

PARTS = ("step", "memory", "start", "demo")
RANK, MODULES = 8, 192
_DTYPES = ("fp32", "bf16")
_DEMO_STRENGTHS = (0.0, 0.5, 1.0)


def recipe_of(folder: Path, dtype: str, steps: int) -> Any:
    """The recipe of the bars."""
    from hubman.train.recipe import from_values

    return from_values(
        {
            "version": 2,
            "base": str(folder / "base"),
            "dataset": str(folder / "pictures"),
            "output": "bar",
            "family": "sd15",
            "network": {"rank": RANK, "alpha": float(RANK)},
            "length": {"steps": steps, "epochs": 1, "batch": 1},
            "images": {"resolutions": [256], "bucket_low": 256, "bucket_high": 256},
            "captions": {"dropout": 0.0},
            "watch": {"save_every": 0, "validation_images": 0, "samples": 0},
            "machine": {"dtype": dtype, "checkpointing": "off"},
        }
    )


def training_of(folder: Path, dtype: str, steps: int = 1000) -> Any:
    """The product's training, ready for its first step, its caches warm after the first time."""
    from hubman.train.data.dataset import read_dataset
    from hubman.train.training import Training

    recipe = recipe_of(folder, dtype, steps)
    dataset = read_dataset(Path(recipe.dataset))
    return Training(recipe, dataset, folder / "checkpoints", folder / "cache", lambda _: None)


def bare_of(folder: Path, dtype: str) -> Any:
    """The plain loop on latents and states of the same shapes."""
    import torch

    from benchmarks.train_bare import BareLoop

    kind = torch.float32 if dtype == "fp32" else torch.bfloat16
    latents, states = torch.randn(8, 4, 32, 32), torch.randn(8, 77, 768)
    return BareLoop(folder / "base", kind, rank=RANK, rate=1e-4, latents=latents, states=states)


def child_step(folder: Path, steps: int) -> dict[str, Any]:
    """All loops in one process, a step of each in turn, in an order that turns round each time."""
    loops: dict[str, Callable[[int], Any]] = {}
    for dtype in _DTYPES:
        ours, bare = training_of(folder, dtype), bare_of(folder, dtype)
        if not len(ours.network.layers) == bare.modules == MODULES:
            sys.exit(f"{len(ours.network.layers)} and {bare.modules} modules instead of {MODULES}")
        loops[f"ours {dtype}"] = ours.step
        loops[f"bare {dtype}"] = bare.step
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(steps + 1):
        for name in list(loops)[:: 1 if number % 2 else -1]:
            began = time.perf_counter()
            float(loops[name](number))
            if number:  # the first one makes the optimizer's state
                taken[name].append(time.perf_counter() - began)
    return taken


def _beside(taken: Mapping[str, Sequence[float]], ours: str, reference: str) -> tuple[float, str]:
    """The median ratio of steps taken one beside the other: what disturbs one step spoils one ratio only."""
    ratio = median(mine / floor for mine, floor in zip(taken[ours], taken[reference], strict=True))
    return ratio, f"median of pairs; fastest {min(taken[ours]):.2f} s beside {min(taken[reference]):.2f} s"


def child_memory(folder: Path, dtype: str, which: str) -> dict[str, Any]:
    """The most memory at once in steps after loading."""
    loop = training_of(folder, dtype) if which == "ours" else bare_of(folder, dtype)
    loaded = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for number in range(3):
        loop.step(number)
    return {"peak": _status("VmHWM"), "loaded": loaded}


def child_demo(folder: Path) -> dict[str, Any]:
    """Train the demo's style on the embedded base as a job, and let the demo's rules look at what it draws."""
    import msgspec
    from PIL import Image

    from hubman import tinybase
    from hubman.demo.datasets import draw_dataset
    from hubman.generate import studio
    from hubman.generate.client import Engine
    from hubman.generate.request import DrawRequest
    from hubman.jobs import store
    from hubman.tinybase import checker
    from hubman.train.presets import preset
    from hubman.train.recipe import write_recipe
    from registry.database import Registry

    pictures = draw_dataset(folder / "demo", "pastel", images=50)
    base = str(tinybase.MODEL)
    recipe = preset("style", "tiny", 50, base=base, dataset=str(pictures), output="pastel")
    write_recipe(folder / "demo.toml", msgspec.structs.replace(recipe, trigger="softpal", seed=7))
    with Registry(folder / "home") as registry:
        captions = store.start(registry, "caption", "caption", {"folder": str(pictures), "trigger": "softpal"})
        store.follow(registry, captions.id, lambda _: None)
        began = time.perf_counter()
        job = store.start(registry, "train", "train", {"recipe": str(folder / "demo.toml")})
        ended = store.follow(registry, job.id, lambda _: None)
        seconds = time.perf_counter() - began
        if ended.result is None:
            sys.exit(f"the training {ended.state}: {ended.error}")
        prompt = "softpal, a large red heart on a yellow background"
        request = DrawRequest(base=base, prompt=prompt, steps=16, cfg=tinybase.GUIDANCE, sampler="DDIM")
        with Engine(registry.home) as engine:
            sweep = studio.sweep_strengths(
                registry, engine, ended.result["version_id"], request, strengths=_DEMO_STRENGTHS, seeds=tuple(range(1, 9)),
                report=lambda _: None, should_stop=lambda: False,
            )  # fmt: skip
    seen = []
    for column in range(len(_DEMO_STRENGTHS)):
        drawn = [checker.pastel(Image.open(path)) for path in sweep.images[column :: len(_DEMO_STRENGTHS)]]
        seen.append(sum(drawn) / len(drawn))
    return {"seconds": seconds, "seen": seen, "passes": all(low < high for low, high in pairwise(seen))}


def child_start(folder: Path, dtype: str) -> dict[str, Any]:
    """From here, an interpreter that has loaded nothing, to the first step begun and done, in a process of its own."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom benchmarks.train import recipe_of\n"
        "from hubman.train.recipe import write_recipe\nfrom hubman.train.run import run_training\n"
        "folder, dtype, run = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])\n"
        "write_recipe(run / 'in.toml', recipe_of(folder, dtype, 1))\n"
        "run_training(run / 'in.toml', run, report=lambda event: print(event.stage, time.time(), flush=True),"
        " cache=folder / 'cache', force=True)\n"
    )
    with tempfile.TemporaryDirectory() as run:
        began = time.time()
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder), dtype, run], capture_output=True, text=True, check=True
        )
    moments: dict[str, float] = {}
    for line in done.stdout.splitlines():
        stage, _, moment = line.rpartition(" ")
        moments[stage] = float(moment) - began
    return {"begun": moments["forecast"], "done": moments["train"], "stages": moments}


def _status(name: str) -> float:
    """In GB of a billion bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e9
    return 0.0


def child(part: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """Run ``child_PART`` in a process of its own; what it returned."""
    command = [sys.executable, __file__, "--child", part, "--keep", str(folder), *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "PYTHONPATH": ROOT}
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


ROOT = str(Path(__file__).parent.parent)


def measure(parts: tuple[str, ...], folder: Path, steps: int) -> list[Measure]:
    """Every bar of ``parts``."""
    found: list[Measure] = []
    if "demo" in parts:
        seen = child("demo", folder)
        note = "style seen by rules " + " → ".join(f"{each:.2f}" for each in seen["seen"])
        found.append(Measure("embedded base, 50 images", seen["seconds"], 45, "s", AT_MOST, 45, note))
        found.append(Measure("its style passes the detector", float(seen["passes"]), 1, "", TIMES, None, note))
        if not seen["passes"]:
            sys.exit(f"the demo's detector does not see the style rise: {note}")
    if set(parts) == {"demo"}:
        return found
    child("make", folder)
    if "step" in parts:
        taken = child("step", folder, str(steps))
        bars = [(f"step, {dtype}", f"ours {dtype}", f"bare {dtype}", 1.03) for dtype in _DTYPES]
        for name, ours, reference, bar in [*bars, ("step, bf16 beside fp32", "ours bf16", "ours fp32", 0.55)]:
            ratio, note = _beside(taken, ours, reference)
            floor = min(taken[reference])
            found.append(Measure(name, ratio * floor, floor, "s", TIMES, bar, note))
    if "memory" in parts:
        for dtype, said in zip(_DTYPES, (4.7, 2.65), strict=True):
            ours, bare = (child("memory", folder, dtype, which)["peak"] for which in ("ours", "bare"))
            note = f"the issue's floor {said:g} GB"
            found.append(Measure(f"peak memory, {dtype}", ours, bare, "GB", TIMES, 1.05, note))
    if "start" in parts:
        for dtype in _DTYPES:
            child("start", folder, dtype)
            warm = child("start", folder, dtype)
            note = f"first step done at {warm['done']:.1f} s"
            found.append(Measure(f"start to first step, {dtype}", warm["begun"], 36, "s", AT_MOST, 12, note))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--steps", type=int, default=8, help="measured steps of each loop")
    parser.add_argument("--keep", type=Path, help="a folder for the base and the caches, kept for the next time")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_child(options.child, options.keep, options.parts)))
        return
    if unknown := set(options.parts) - set(PARTS):
        sys.exit(f"there is no part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        report(measure(tuple(options.parts) or PARTS, folder, options.steps))


def run_child(part: str, folder: Path, arguments: list[str]) -> dict[str, Any]:
    match part:
        case "make":
            from benchmarks.train_maker import make_base, make_pictures

            make_base(folder / "base")
            make_pictures(folder / "pictures")
            return {}
        case "step":
            return child_step(folder, int(arguments[0]))
        case "memory":
            return child_memory(folder, *arguments)
        case "start":
            return child_start(folder, *arguments)
        case _:
            return child_demo(folder)


if __name__ == "__main__":
    main()
