"""A queue of 100 files while 300 faults of all kinds strike: python benchmarks/civitai_faults.py."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support import fault_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = fault_run.run(Path(folder), files=given.files, faults=given.faults, seed=given.seed)
    struck = sum(found.faults.values())
    print(
        f"{given.files} files, {struck} faults of {sum(map(bool, found.faults.values()))} kinds, {found.requests} requests"
    )
    print(f"{found.done} done (of which {found.unverified} unverified), {len(found.failed)} with a final reason:")
    for reason, count in Counter(reason.partition(":")[0] for reason in found.failed.values()).most_common():
        print(f"  {count:>3}  {reason}")
    print(f"wrong bytes in place: {len(found.wrong)}, twice: {len(found.twice)}, without an end: {len(found.open)}")
    print(f"{perf_counter() - began:.1f} s (waits are skipped)")
    holds = (
        struck >= given.faults
        and not (found.wrong or found.twice or found.open)
        and found.done + len(found.failed) == given.files
    )
    print("holds" if holds else "FAILS")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
