"""Whether LoRAs that the meter calls conflicting lose more together: python benchmarks/conflicts.py [--keep DIR] [--prompts N].

Eight LoRAs of the embedded base, all trained by one recipe, make 28 pairs, of which 20 are drawn by lot. Each pair is drawn at
full strength with prompts that no training saw, and so are the base and each LoRA alone. Lost is the share of right shapes of
the base minus that of both together; told beside it is what goes beyond the mean of the two alone. The meter reads the weights
only; its budget and the loss must put the pairs in much the same order. (Budgets of LoRAs of other recipes are not
comparable so: the sample LoRA's weights move twice as far as these, and its pictures less.)
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.curves import request_of
from benchmarks.held_out_loras import KEPT, TRIGGERS, lora_of, trigger_of
from benchmarks.held_out_styles import STYLES, is_shape
from hubman.generate.client import Engine
from hubman.generate.grids.cells import cell_path, draw_requests
from hubman.generate.request import LoraUse
from hubman.lora import fingerprint_store
from hubman.lora.conflict import Meter, meter
from hubman.tinybase.drawing import Scene
from hubman.tinybase.score import held_out_scenes
from registry.database import Registry
from registry.hashing import hash_file

PAIRS = 20
ENOUGH = 0.6
NAMES = tuple(name for name in (*STYLES, *TRIGGERS) if name != "hatching")


@dataclass(frozen=True)
class Pair:
    names: tuple[str, str]
    read: Meter
    lost: float
    beyond: float
    """What both lose together beyond the mean of what each loses alone."""


def use_of(name: str, kept: Path) -> LoraUse:
    path = lora_of(name, kept)
    return LoraUse(path=str(path), name=name, sha256=hash_file(path).sha256, strength=1.0)


def obedience(engine: Engine, uses: Sequence[LoraUse], kept: Path, scenes: Sequence[Scene]) -> float:
    """The share of pictures with the right shape."""
    triggers = ", ".join(trigger_of(use.name) for use in uses)
    requests = [request_of(triggers, scene, uses, 500 + number) for number, scene in enumerate(scenes)]
    for _ in draw_requests(requests, kept, engine, batch=8):
        pass
    pictures = [Image.open(cell_path(kept, request)) for request in requests]
    return mean(is_shape(picture, scene) for picture, scene in zip(pictures, scenes, strict=True))


def ranks(values: Sequence[float]) -> list[float]:
    """From 0; equal values share the mean of their places."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's, -1..1; 0 where one of them is all the same."""
    one, other = ranks(first), ranks(second)
    middle = (len(one) - 1) / 2
    across = sum((a - middle) * (b - middle) for a, b in zip(one, other, strict=True))
    spread = sum((a - middle) ** 2 for a in one) * sum((b - middle) ** 2 for b in other)
    return float(across / spread**0.5) if spread else 0.0


def measured(engine: Engine, registry: Registry, kept: Path, prompts: int) -> list[Pair]:
    scenes = held_out_scenes(prompts)
    uses = {name: use_of(name, kept) for name in NAMES}
    for use in uses.values():
        fingerprint_store.make(registry, use.sha256, Path(use.path))
    plain = obedience(engine, [], kept, scenes)
    alone = {name: obedience(engine, [use], kept, scenes) for name, use in uses.items()}
    print(
        f"right shapes of the base {plain:.0%}, alone:",
        ", ".join(f"{name} {share:.0%}" for name, share in alone.items()),
    )
    found = []
    for names in sorted(random.Random(5).sample(list(combinations(NAMES, 2)), PAIRS)):
        both = [uses[name] for name in names]
        together = obedience(engine, both, kept, scenes)
        read = meter(registry, [(use.sha256, use.strength) for use in both])
        found.append(Pair(names, read, plain - together, mean(alone[name] for name in names) - together))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, default=KEPT, help="where LoRAs and pictures are kept")
    parser.add_argument("--prompts", type=int, default=24)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, Registry(Path(home)) as registry, Engine(Path(home)) as engine:
        pairs = measured(engine, registry, args.keep, args.prompts)
    print(f"{'pair':<22} {'budget':>8} {'interaction':>12} {'overlap':>8} {'lost':>7} {'beyond':>7}")
    for pair in sorted(pairs, key=lambda pair: -pair.read.total.budget):
        total = pair.read.total
        numbers = f"{total.budget:>8.2f} {total.interaction:>+12.3f} {total.overlap:>8.0%}"
        print(f"{' + '.join(pair.names):<22} {numbers} {pair.lost:>+7.0%} {pair.beyond:>+7.0%}")
    lost = [pair.lost for pair in pairs]
    by = {
        "budget": [pair.read.total.budget for pair in pairs],
        "interaction": [pair.read.total.interaction for pair in pairs],
        "overlap": [pair.read.total.overlap for pair in pairs],
    }
    found = {name: rank_correlation(values, lost) for name, values in by.items()}
    print("rank correlation with the loss:", ", ".join(f"{name} {value:+.2f}" for name, value in found.items()))
    beyond = rank_correlation(by["budget"], [pair.beyond for pair in pairs])
    print(f"rank correlation of the budget with what is lost beyond each alone: {beyond:+.2f}")
    held = found["budget"] >= ENOUGH
    print(f"{'holds' if held else 'FAILS'}  budget against loss {found['budget']:+.2f}, bar {ENOUGH}")
    sys.exit(not held)


if __name__ == "__main__":
    main()
