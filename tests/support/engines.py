"""Engines that tests talk to: in this process, where torch is loaded already, behind a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from hubman.generate.engine import LocalEngine
from hubman.generate.server import Server
from hubman.generate.service.endpoint import Endpoint
from hubman.generate.service.identity import Identity


@contextmanager
def serving(home: Path, *, idle: float = 0, me: Identity | None = None) -> Iterator[threading.Thread]:
    """An engine of ``home`` until the end of the block, or until it ends by itself: then its thread does."""
    endpoint = Endpoint(home)
    endpoint.prepare()
    server = Server(endpoint, lambda: LocalEngine(device=torch.device("cpu")), idle=idle, me=me)
    thread = threading.Thread(target=server.serve)
    thread.start()
    opened = None
    while thread.is_alive() and opened is None:
        thread.join(0.01)
        opened = endpoint.connect()
    if opened is not None:
        opened.close()
    try:
        yield thread
    finally:
        server.finish(now=True)
        thread.join()
