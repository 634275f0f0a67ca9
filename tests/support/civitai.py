"""A running sandbox and clients for it, with a clock and sleeps that take no time."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
from PIL import Image

from hubman.civitai.client import Civitai
from hubman.civitai.shared import Shared
from hubman.sandbox import Sandbox, Settings
from registry.database import Registry


@dataclass
class FakeClock:
    """The sandbox's time; sleeping moves it."""

    now: datetime = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


@dataclass
class Bench:
    """A sandbox, its clock, and clients for its keys."""

    sandbox: Sandbox
    clock: FakeClock
    folder: Path
    http: httpx.Client

    def client(self, name: str = "creator", *, home: Path | None = None) -> Civitai:
        """A client with this key; an empty name has none. With ``home`` it shares that home's limits and cache."""
        shared = Shared(home, clock=self.clock.seconds) if home else None
        token = self.sandbox.token(name) if name else ""
        return Civitai(self.sandbox.url, token, sleep=self.clock.sleep, shared=shared)

    def post(self, path: str, body: object, *, key: str = "creator", **headers: str) -> httpx.Response:
        """A raw request, as a client with other habits would send it."""
        given = {"Authorization": f"Bearer {self.sandbox.token(key)}"} if key else {}
        return self.http.post(self.sandbox.url + path, json=body, headers={**given, **headers})

    def get(self, path: str, *, key: str = "", **headers: str) -> httpx.Response:
        given = {"Authorization": f"Bearer {self.sandbox.token(key)}"} if key else {}
        return self.http.get(self.sandbox.url + path, headers={**given, **headers})

    def asked(self, path: str) -> int:
        """How many requests so far went to a path that contains this text."""
        return sum(path in asked for _method, asked, _status in self.sandbox.requests)


@contextmanager
def bench(folder: Path, **settings: Any) -> Iterator[Bench]:
    clock = FakeClock()
    with (
        Sandbox(folder / "sandbox", settings=Settings(clock=clock, **settings)) as sandbox,
        httpx.Client() as http,
    ):
        yield Bench(sandbox, clock, folder, http)


@contextmanager
def quick_registry(home: Path) -> Iterator[Registry]:
    """A registry that does not wait for the disk: no test cuts the power."""
    with Registry(home) as registry, mock.patch("os.fsync"):
        yield registry


def write_lora(path: Path, *, size: int = 4096, seed: int = 0, metadata: dict[str, str] | None = None) -> Path:
    """A small valid safetensors file with kohya's key names; ``size`` bytes of data that follow from ``seed``."""
    half = size // 2
    rank = 4
    shape = [rank, half // (2 * rank)]
    tensors = {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight": shape,
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_up.weight": shape[::-1],
    }
    header: dict[str, Any] = {"__metadata__": metadata or {"ss_network_module": "networks.lora"}}
    end = 0
    for name, dims in tensors.items():
        length = dims[0] * dims[1] * 2
        header[name] = {"dtype": "F16", "shape": dims, "data_offsets": [end, end + length]}
        end += length
    text = json.dumps(header).encode()
    # No byte reaches the exponent of an infinity; further turns of 120 step in another way.
    turn = seed // 120
    data = bytes((index * 7 + seed + index % 113 * turn) % 120 for index in range(end))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def digest(path: Path) -> str:
    """The SHA-256 of a file, as lower-case hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def png(colour: str = "red", size: tuple[int, int] = (32, 24)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_png(path: Path, colour: str = "red") -> Path:
    path.write_bytes(png(colour))
    return path
