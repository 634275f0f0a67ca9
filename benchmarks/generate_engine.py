"""How long a loaded engine takes from being told other strengths to the first kernel."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec
import torch

from hubman.generate.client import Engine
from hubman.generate.engine import LocalEngine
from hubman.generate.request import DrawRequest
from hubman.generate.server import Server
from hubman.generate.service.endpoint import Endpoint


def to_first_kernel(request: DrawRequest, home: Path, times: int) -> list[float]:
    """Milliseconds of ``times`` changes of the UNet strength of the first LoRA of ``request``, by an engine of ``home``.

    The first kernel is the first call of any of the base's components: of the denoiser, since the texts stay the same.
    """
    local = LocalEngine(device=torch.device("cpu"))
    calls: list[float] = []
    for root in local.load(request.base).model.roots.values():
        root.register_forward_pre_hook(lambda *_: calls.append(time.perf_counter()))
    server = Server(Endpoint(home), lambda: local, idle=0)
    thread = threading.Thread(target=server.serve)
    thread.start()
    while (opened := Endpoint(home).connect()) is None:
        time.sleep(0.01)
    opened.close()
    taken: list[float] = []
    try:
        with Engine(home) as engine:
            for number in range(times + 1):
                use = msgspec.structs.replace(request.loras[0], strength=0.1 + 0.05 * number, te_strength=1.0)
                wanted = msgspec.structs.replace(request, loras=(use, *request.loras[1:]))
                calls.clear()
                began = time.perf_counter()
                for _ in engine.draw([wanted], home / "cells"):
                    pass
                taken.append((calls[0] - began) * 1e3)
    finally:
        server.finish(now=True)
        thread.join()
    return taken[1:]  # the first one loads
