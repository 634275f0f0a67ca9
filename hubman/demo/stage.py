"""Where the demo plays, and the clock and the memory meter that watch it."""

from __future__ import annotations

import os
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubman.demo.records import Step
from hubman.progress import Progress, Report
from registry.errors import HubError, UsageError

MARK = ".hubman-demo"


@dataclass
class Stage:
    """Folders of one demo and the steps so far."""

    folder: Path
    report: Report
    steps: list[Step] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def second_home(self) -> Path:
        return self.folder / "second-home"

    @property
    def remote(self) -> Path:
        return self.folder / "remote"

    @property
    def datasets(self) -> Path:
        return self.folder / "datasets"

    def step(self, name: str, work: Callable[[], tuple[bool, str, dict[str, Any]]]) -> bool:
        """Do ``work``, which returns (whether it held, what was seen, facts), and write it down."""
        self.report(Progress(stage=name, message="…"))
        began = time.monotonic()
        try:
            held, summary, facts = work()
        except HubError as error:
            held, summary, facts = False, str(error), {}
        seconds = round(time.monotonic() - began, 2)
        self.steps.append(Step(name=name, held=held, seconds=seconds, summary=summary, facts=facts))
        self.report(Progress(stage=name, done=1, total=1, message=f"{'✔' if held else '✘'} {summary}"))
        return held


def clear(folder: Path) -> None:
    """Make ``folder`` an empty place for a demo. Raises :class:`UsageError` rather than touch anything else's files."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise UsageError(f"{folder} is not empty and no demo made it", "give --keep an empty or a new folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set variables for this process and the jobs it starts, and put them back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class MemoryMeter:
    """The most memory that this process and all its descendants held at once, sampled four times a second.

    Linux only (``/proc``, proportional set size so that shared pages count once); elsewhere the peak of this
    process alone.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryMeter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def peak_mb(self) -> float:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return round((self.peak or own) / 1e6, 1)

    def _watch(self) -> None:
        while not self._stop.wait(0.25):
            self.peak = max(self.peak, sum(map(_held_by, _family(os.getpid()))))


def _family(root: int) -> set[int]:
    """``root`` and its descendants; jobs keep their parent although they lead sessions of their own."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
    family = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        if not more:
            return family
        family |= more


def _held_by(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return 0
    return 0
