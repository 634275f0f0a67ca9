"""Publications killed with -9 and begun again: python benchmarks/publish_kills.py.

Once before and once after every call that the journal writes down, and at random instants of an upload. Each is gone on
with by the next run, and has to end as exactly one model, version, file with the right bytes, post, and every picture.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

from hubman.civitai.client import Civitai
from hubman.progress import Progress
from registry.database import Registry
from tests.support.civitai import Bench, bench
from tests.support.publishing import held_bytes, local_bytes, make_version, publish_now, the_only_one

_VICTIM = """
import os, signal, sys
from pathlib import Path
from hubman.civitai.client import Civitai
from registry.database import Registry
from tests.support.publishing import publish_now

home, site, token, version, instant = sys.argv[1:]
left = [int(instant)]

def watch(event):
    if event.stage == "upload":
        print("upload", flush=True)
    if event.stage == "publish" and event.data["state"] != "done":
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

with Registry(Path(home)) as registry, Civitai(site, token) as client:
    publish_now(registry, client, version, report=watch)
"""


@dataclass
class Kills:
    """Publications on one sandbox, each of a model of its own."""

    site: Bench
    client: Civitai
    registry: Registry
    folder: Path
    size: int
    count: int = 0

    def make(self) -> tuple[str, str]:
        self.count += 1
        name = f"Killed {self.count}"
        return name, make_version(self.registry, self.folder, name=name, seed=self.count, size=self.size)

    def instants(self) -> int:
        """At how many instants there is something to be killed at."""
        heard: list[Progress] = []
        publish_now(self.registry, self.client, self.make()[1], report=heard.append)
        return sum(event.stage == "publish" and event.data["state"] != "done" for event in heard)

    def at_instant(self, number: int) -> None:
        name, version = self.make()
        victim = self._start(version, number)
        victim.communicate()
        if victim.returncode != -signal.SIGKILL:
            sys.exit(f"the process was not killed at instant {number}")
        self.mend(name, version)

    def in_upload(self, chance: random.Random) -> bool:
        """Kill at a random time after the first bytes went out; whether it came in time."""
        name, version = self.make()
        victim = self._start(version, 0)
        if victim.stdout is not None:
            victim.stdout.readline()
        try:
            victim.wait(timeout=chance.uniform(0, 0.4))
        except subprocess.TimeoutExpired:
            os.kill(victim.pid, signal.SIGKILL)
        victim.communicate()
        self.mend(name, version)
        return victim.returncode == -signal.SIGKILL

    def mend(self, name: str, version: str) -> None:
        done = publish_now(self.registry, self.client, version)
        found = the_only_one(self.site, name=name)
        if done.status != "published" or held_bytes(self.site, found) != local_bytes(self.registry, version):
            sys.exit(f"{name} did not end whole")

    def _start(self, version: str, instant: int) -> subprocess.Popen[bytes]:
        arguments = [str(self.registry.home), self.site.sandbox.url, self.site.sandbox.token(), version, str(instant)]
        return subprocess.Popen(
            [sys.executable, "-c", _VICTIM, *arguments], cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="at random instants of an upload")
    parser.add_argument(
        "--steps", type=int, default=1, help="kill at every so many instants of the journal; 0 leaves it out"
    )
    parser.add_argument("--size", type=int, default=8, help="MiB of the file, which goes out in parts of 256 KiB")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began, chance = perf_counter(), random.Random(given.seed)
    with (
        tempfile.TemporaryDirectory() as name,
        bench(Path(name), chunk_size=256 << 10, posts_per_day=1_000_000) as site,
        Registry(Path(name) / "home") as registry,
        site.client() as client,
    ):
        kills = Kills(site, client, registry, Path(name), given.size << 20)
        instants = range(1, kills.instants() + 1)[:: given.steps] if given.steps else range(0)
        for number in instants:
            kills.at_instant(number)
        hit, tried = 0, 0
        while hit < given.kills and tried < 3 * given.kills:
            hit, tried = hit + kills.in_upload(chance), tried + 1
        swept = site.sandbox.sweep()
    if hit < given.kills:
        sys.exit(f"only {hit} of {tried} kills came in time")
    if swept:
        sys.exit(f"the nightly sweep took {len(swept)} versions down")
    print(
        f"killed at {len(instants)} instants of the journal and {hit} times inside an upload of "
        f"{given.size} MiB: each ended as one model, version, file, post and every picture; {perf_counter() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
