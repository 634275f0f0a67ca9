"""The bars of drawing: python benchmarks/generate.py [--rounds N] [PART…]; parts: sweep call strength engine.

A sweep of 2 x 2 x 2 strengths of three LoRAs, 6 steps with guidance, one thread, fp32: all cells in one batch of the bank,
beside stock diffusers and PEFT with one load and ``set_adapters`` for each cell, and with all loaded anew for each cell. All of
it in one process, one way after the other in each round, which of them first changing each time.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

import msgspec
import torch

from benchmarks.bars import AT_MOST, TIMES, Measure, report
from benchmarks.generate_engine import to_first_kernel
from benchmarks.generate_maker import SIDE, make_base
from benchmarks.generate_ways import CELLS, Ours, Stock
from hubman.generate.bank import Bank
from hubman.generate.pipeline import sites_of

Way = Callable[[], object]


def interleaved(ways: Mapping[str, Way], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round; the first round warms up and is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            began = time.perf_counter()
            ways[name]()
            if number:
                taken[name].append(time.perf_counter() - began)
    return taken


def ratio(taken: Mapping[str, list[float]], one: str, other: str) -> float:
    """The median over rounds: a disturbance spoils one round only."""
    return median(mine / theirs for mine, theirs in zip(taken[one], taken[other], strict=True))


def measure_sweep(folder: Path, rounds: int) -> list[Measure]:
    """Time, and whether the pictures are the same."""
    ours, stock = Ours(folder), Stock(folder)
    taken = interleaved({"bank": ours.sweep, "loop": stock.loop, "reload": stock.reload}, rounds)
    found = []
    for other, said, budget in (("loop", "set_adapters", 0.55), ("reload", "reload", 0.38)):
        reference = median(taken[other])
        figure = ratio(taken, "bank", other) * reference
        found.append(Measure(f"8 cells, beside {said} per cell", figure, reference, "s", TIMES, budget))
    mine = ours.sweep()
    assert isinstance(mine, torch.Tensor)  # noqa: S101 - tells mypy which way answered
    apart = float((stock.pictures(mine) - stock.pictures(stock.reload())).abs().max())
    found.append(Measure("the same images as reload", apart * 1e5, 1, "e-5", AT_MOST, 1, "largest difference, 0..1"))
    other_way = ours.draw([ours.request(cell) for cell in (CELLS[0], *CELLS[:0:-1])])
    changed = int((other_way[0] != mine[0]).sum())
    found.append(Measure("numbers changed by other neighbours", changed, 0, "", AT_MOST, 0))
    return found


def measure_call(folder: Path, rounds: int) -> list[Measure]:
    """Calls of the UNet with guidance, in copies of one another with 0, 1 and 3 LoRAs."""
    ours = Ours(folder)
    whole = [ours.load(use) for use in ours.uses]
    loras = [
        replace(each, changes={site: change for site, change in each.changes.items() if site.component == "unet"})
        for each in whole
    ]
    unet = ours.base.model.denoiser
    x, t = torch.randn(2, 4, SIDE // 8, SIDE // 8), torch.tensor(500)
    states = torch.randn(2, 77, unet.config.cross_attention_dim)

    def way(count: int) -> Way:
        own = copy.deepcopy(unet)
        bank = Bank({"unet": own}, sites_of("unet", own))
        bank.install(loras[:count])
        bank.set_strengths("unet", [[0.7] * count] * 2)

        @torch.inference_mode()
        def call() -> None:
            for _ in range(4):
                own(x, t, states, return_dict=False)

        return call

    taken = interleaved({"none": way(0), "one": way(1), "three": way(3)}, rounds * 5)
    reference = median(taken["none"]) * 250
    return [
        Measure(f"UNet call with {name}", ratio(taken, key, "none") * reference, reference, "ms", TIMES, budget)
        for key, name, budget in (("one", "1 LoRA", 1.12), ("three", "3 LoRAs", 1.33))
    ]


def measure_strength(folder: Path, rounds: int) -> list[Measure]:
    """From requests with other strengths to the denoiser's first kernel, their texts encoded before."""
    ours = Ours(folder)
    moments: list[float] = []
    ours.base.model.denoiser.register_forward_pre_hook(lambda *_: moments.append(time.perf_counter()))
    taken = []
    for number in range(rounds * 2 + 1):
        requests = [ours.request(cell, steps=1) for cell in CELLS]
        changed = [
            msgspec.structs.replace(
                request,
                loras=tuple(
                    msgspec.structs.replace(use, te_strength=use.strength, strength=use.strength + number / 100)
                    for use in request.loras
                ),
            )
            for request in requests
        ]
        moments.clear()
        began = time.perf_counter()
        ours.draw(changed)
        taken.append((moments[0] - began) * 1000)
    note = f"worst {max(taken[1:]):.1f} ms; scheduler and noise included"
    return [Measure("strength change of 8 cells", median(taken[1:]), 5, "ms", AT_MOST, 5, note)]


def measure_engine(folder: Path, rounds: int) -> list[Measure]:
    """The same for one cell, from a client's request on: with its JSON, the socket, the engine's turn and plan."""
    ours = Ours(folder)
    with tempfile.TemporaryDirectory(prefix="hubman-") as home:
        taken = to_first_kernel(ours.request(CELLS[-1], steps=1), Path(home), rounds * 2 + 1)
    return [Measure("strength change, to the engine", median(taken), 5, "ms", AT_MOST, 5, f"worst {max(taken):.1f} ms")]


PARTS: Mapping[str, Callable[[Path, int], list[Measure]]] = {
    "sweep": measure_sweep,
    "call": measure_call,
    "strength": measure_strength,
    "engine": measure_engine,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds of each way")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        sys.exit(f"there is no part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    torch.set_num_threads(1)
    measures: list[Measure] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_base(Path(temporary) / "base")
        for part in options.parts or PARTS:
            measures += PARTS[part](folder, options.rounds)
    report(measures)


if __name__ == "__main__":
    main()
