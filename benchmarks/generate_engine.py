"""How long a loaded engine takes from being told other strengths to the first kernel: ``python benchmarks/generate_engine.py``.

Everything is counted: the client's JSON, the socket, the engine's turn and plan, and the strengths written into the bank.
The first kernel is the first call of any of the base's components; where only the UNet's strength changes, of the UNet.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.bars import AT_MOST, Measure, report
from hubman import tinybase
from hubman.generate.client import Engine
from hubman.generate.engine import LocalEngine
from hubman.generate.pipeline import Base
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.server import Server
from hubman.generate.service.endpoint import Endpoint

BAR_MS = 5.0
_TIMES = 15
_RANK = 16


def to_first_kernel(request: DrawRequest, folder: Path, times: int = _TIMES) -> float:
    """Median milliseconds over ``times`` changes of the UNet strength of the first LoRA of ``request``."""
    local = LocalEngine(device=torch.device("cpu"))
    calls: list[float] = []
    for root in local.load(request.base).model.roots.values():
        root.register_forward_pre_hook(lambda *_: calls.append(time.perf_counter()))
    server = Server(Endpoint(folder), lambda: local, idle=0)
    thread = threading.Thread(target=server.serve)
    thread.start()
    while Endpoint(folder).connect() is None:
        time.sleep(0.01)
    taken: list[float] = []
    with Engine(folder) as engine:
        for number in range(times + 1):
            use = msgspec.structs.replace(request.loras[0], strength=0.1 + 0.05 * number, te_strength=1.0)
            wanted = msgspec.structs.replace(request, loras=(use, *request.loras[1:]))
            calls.clear()
            began = time.perf_counter()
            for _ in engine.draw([wanted], folder / "cells"):
                pass
            taken.append((calls[0] - began) * 1e3)
    server.finish(now=True)
    thread.join()
    return statistics.median(taken[1:])  # the first one loads


def whole_loras(base: Base, folder: Path, count: int = 3) -> Sequence[LoraUse]:
    """LoRAs that change every attention layer of the denoiser."""
    found = []
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        tensors = {}
        for site in base.modules:
            if site.component == "unet" and ".attn" in site.path and len(site.shape) == 2:
                name = "lora_unet_" + site.path.replace(".", "_")
                tensors[f"{name}.lora_down.weight"] = torch.randn(_RANK, site.shape[1], generator=generator) * 0.01
                tensors[f"{name}.lora_up.weight"] = torch.randn(site.shape[0], _RANK, generator=generator) * 0.01
        path = folder / f"lora{number}.safetensors"
        save_file(tensors, path)
        found.append(LoraUse(path=str(path), name=path.stem, sha256=f"{number:064x}"))
    return found


def main() -> None:
    """Measure on the embedded base, and print the bar."""
    with tempfile.TemporaryDirectory(prefix="hubman-") as name:
        folder = Path(name)
        base = LocalEngine(device=torch.device("cpu")).load(str(tinybase.MODEL))
        loras = whole_loras(base, folder)
        request = DrawRequest(
            base=str(tinybase.MODEL), prompt="a red circle", loras=tuple(loras), steps=1, sampler="DDIM"
        )
        taken = to_first_kernel(request, folder)
    report([Measure("strength change in a loaded engine", taken, taken, "ms", AT_MOST, BAR_MS, "to the first kernel")])


if __name__ == "__main__":
    main()
