"""A queue of downloads while everything goes wrong, and what came of it: for a test, and at full size for the benchmark."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hubman.civitai import queue
from hubman.civitai.client import Civitai
from hubman.civitai.downloader import drain
from hubman.civitai.transfer import Tuning
from hubman.progress import silent
from hubman.sandbox import Sandbox, Settings, seed_model
from hubman.sandbox.faults.rules import KINDS, Rule
from registry import pull_queue
from registry.database import Registry
from tests.support.civitai import FakeClock, write_lora

LEFT_OUT = frozenset({"latency", "slow"})
"""They cost time and break nothing."""
_TUNING = Tuning(connections=4, piece=40_000, enough=1e12, look_s=0.0)


@dataclass
class Outcome:
    """``wrong`` are files in place with other bytes than they should have, ``twice`` those that are there more than once."""

    faults: Counter[str] = field(default_factory=Counter)
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    unverified: int = 0
    requests: int = 0


def run(folder: Path, *, files: int, faults: int, seed: int, size: int = 150_000, rounds: int = 1) -> Outcome:
    """Queue ``files`` models of a sandbox in which about ``faults`` faults of all kinds strike, and work the queue off.

    After each of ``rounds`` what failed is tried again, as a person would.
    """
    clock = FakeClock()
    with Sandbox(folder / "sandbox", settings=Settings(clock=clock, seed=seed)) as sandbox:
        expected: dict[str, str] = {}
        for number in range(files):
            # Some are large enough for several connections, some are not.
            made = write_lora(
                folder / "made" / f"model{number}.safetensors", size=size if number % 3 else 6000, seed=number
            )
            made.write_bytes(made.read_bytes() + number.to_bytes(4, "little"))
            expected[str(seed_model(sandbox, made, name=made.stem).version_id)] = _sha256(made)
        sandbox.settings.rules = _rules(faults)
        with Registry(folder / "home") as registry:
            registry.db.execute("PRAGMA synchronous = OFF")
            queue.add(registry, list(expected), site=None, into=folder / "pulled")
            with Civitai(sandbox.url, sandbox.token(), sleep=clock.sleep) as client:
                for step in range(rounds):
                    if step:
                        pull_queue.retry(registry, None)
                    drain(registry, lambda _site: client, silent, lambda: False, lambda _db: None, tuning=_TUNING)
            outcome = _judged(registry, expected, folder / "pulled")
        for rule in sandbox.settings.rules:
            outcome.faults[rule.kind] += rule.struck
        outcome.requests = len(sandbox.requests)
    return outcome


def _rules(faults: int) -> list[Rule]:
    kinds = [kind for kind in KINDS if kind not in LEFT_OUT]
    # Some kinds find too few requests that they fit: the others make up for them.
    times = math.ceil(1.2 * faults / len(kinds))
    return [Rule(kind, rate=0.04, times=times) for kind in kinds]


def _judged(registry: Registry, expected: dict[str, str], folder: Path) -> Outcome:
    outcome = Outcome()
    for item in queue.items(registry):
        if item.state == "done":
            outcome.done += 1
            outcome.unverified += not item.verified
            if _sha256(Path(item.path)) != expected[item.ref]:
                outcome.wrong.append(item.path)
        elif item.state == "failed" and item.error:
            outcome.failed[item.ref] = item.error
        else:
            outcome.open.append(f"{item.ref} {item.state}")
    there = Counter(_sha256(path) for path in folder.rglob("*.*") if path.is_file() and _is_model(path))
    outcome.wrong += [digest for digest in there if digest not in expected.values()]
    outcome.twice = [digest for digest, count in there.items() if count > 1]
    return outcome


def _is_model(path: Path) -> bool:
    return path.suffix not in {".part", ".json", ".damaged", ".txt"}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
