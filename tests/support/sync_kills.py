"""Syncs in processes of their own that are killed while files move, and what the next sync has to make of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from hubman.sync.records import layout
from hubman.sync.run import SyncResult
from tests.support.machines import Machine, index, sha256_of

PART = 1 << 20
_LARGE, _SMALL, _SMALL_COUNT = 5 * PART + 77, 100_000, 8
_RATE = 20_000_000

_VICTIM = """
import sys
from pathlib import Path
from hubman.sync.run import sync
from registry.database import Registry

def report(event):
    if event.stage == sys.argv[2]:
        print("moving", flush=True)

with Registry(Path(sys.argv[1])) as registry:
    sync(registry, "r", limit_rate=int(sys.argv[3]), report=report)
"""


class Pair:
    """A machine with one file of several parts and some small ones, and one that has none."""

    def __init__(self, base: Path, seed: int) -> None:
        self.a, self.b = Machine(base, "a", base / "remote"), Machine(base, "b", base / "remote")
        for machine in (self.a, self.b):
            machine.registry.db.execute("UPDATE remotes SET part = ?", (PART,))
        chance = random.Random(seed)
        self.sizes: dict[str, int] = {}
        folder = self.a.registry.models_folder
        folder.mkdir(parents=True)
        for number in range(1 + _SMALL_COUNT):
            path = folder / f"lora {number}.safetensors"
            path.write_bytes(chance.randbytes(_SMALL if number else _LARGE))
            index(self.a.registry, path)
            self.sizes[sha256_of(path)] = path.stat().st_size

    def close(self) -> None:
        self.a.registry.close()
        self.b.registry.close()

    @property
    def total(self) -> int:
        return sum(self.sizes.values())

    def whole_on_remote(self) -> int:
        """Bytes of the objects that lie there in their right size."""
        objects = [one for sha256, size in self.sizes.items() for one in layout.blob_keys(sha256, size, PART)]
        return sum(
            length
            for key, _, length in objects
            if (self.a.remote / key).is_file() and (self.a.remote / key).stat().st_size == length
        )

    def kept_by_b(self) -> int:
        """Bytes that b has in place, or has noted to have of an unfinished file."""
        folder = self.b.registry.models_folder
        landed = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        rows = self.b.registry.db.execute("SELECT done FROM transfers WHERE size = ?", (_LARGE,))
        ranges = [number for row in rows for number in msgspec.json.decode(row[0], type=list[int])]
        return landed + sum(min(PART, _LARGE - number * PART) for number in ranges)

    def check(self) -> None:
        """Everything is everywhere, whole, once, and nothing is left over."""
        for sha256, size in self.sizes.items():
            keys = layout.blob_keys(sha256, size, PART)
            assert b"".join((self.a.remote / key).read_bytes() for key, _, _ in keys) == _content(self.a, sha256)
        folder = self.b.registry.models_folder
        assert {sha256_of(path) for path in folder.iterdir()} == set(self.sizes)
        assert self.a.shown() == self.b.shown()
        assert not self.b.registry.db.execute("SELECT * FROM transfers").fetchall()


def start(machine: Machine, stage: str) -> subprocess.Popen[bytes]:
    """A process that syncs ``machine`` and moves files by now."""
    arguments = [sys.executable, "-c", _VICTIM, str(machine.home), stage, str(_RATE)]
    victim = subprocess.Popen(
        arguments, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"moving\n"
    return victim


def kill(victim: subprocess.Popen[bytes], after: float) -> bool:
    """Kill it after so many seconds; False if it was done before."""
    try:
        victim.wait(timeout=after)
    except subprocess.TimeoutExpired:
        os.kill(victim.pid, signal.SIGKILL)
    victim.communicate()
    return victim.returncode == -signal.SIGKILL


def kill_and_mend(base: Path, seed: int) -> tuple[int, SyncResult, SyncResult]:
    """Kill an upload and a download at instants that ``seed`` chooses; how many of the two it was in time for."""
    pair, chance = Pair(base, seed), random.Random(seed)
    longest = pair.total / _RATE
    try:
        in_time = int(kill(start(pair.a, "upload"), chance.uniform(0, longest)))
        there = pair.whole_on_remote()
        up = pair.a.sync()
        assert up.warnings == ()
        assert up.uploaded_bytes == pair.total - there, "what was whole there has to stay, and all else has to come"
        in_time += kill(start(pair.b, "download"), chance.uniform(0, longest))
        kept = pair.kept_by_b()
        down = pair.b.sync()
        assert down.warnings == ()
        assert down.downloaded_bytes <= pair.total - kept
        for machine in (pair.a, pair.b, pair.a):
            machine.sync()
        pair.check()
    finally:
        pair.close()
    return in_time, up, down


def _content(machine: Machine, sha256: str) -> bytes:
    row = machine.registry.db.execute("SELECT path FROM places WHERE sha256 = ?", (sha256,)).fetchone()
    return Path(row[0]).read_bytes()
