"""Syncs killed with -9 at random instants while files move: python benchmarks/sync_kills.py.

Half of the instants lie in an upload, half in a download. The next sync has to go on with what was whole, send and
fetch the rest, and leave both machines with the same files, each of the right bytes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.sync_kills import kill_and_mend


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began, killed, seed = perf_counter(), 0, given.seed
    while killed < given.kills and seed < given.seed + 2 * given.kills:
        with tempfile.TemporaryDirectory() as name:
            killed += kill_and_mend(Path(name), seed)[0]
        seed += 1
    if killed < given.kills:
        sys.exit(f"only {killed} of {2 * (seed - given.seed)} kills came in time")
    print(f"killed at {killed} instants of transfers: each went on and ended whole; {perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
