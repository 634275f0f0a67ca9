"""How long the quick commands take, as ratios to a bare Python: python benchmarks/start.py."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

RUNS = 9


def best_of(command: list[str], environment: dict[str, str]) -> float:
    """The median of the wall seconds of ``RUNS`` runs, after one that warms the caches."""
    subprocess.run(command, env=environment, check=True, capture_output=True)
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return sorted(times)[RUNS // 2]


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HUBMAN_HOME": home}
        hubman = [sys.executable, "-m", "hubman.cli.main"]
        reference = best_of([sys.executable, "-c", "import json, sqlite3"], environment)
        print(f"{'python -c import json, sqlite3':<34} {reference:.3f} s  1.00")
        for words in (["--help"], ["ls"], ["ls", "--json"], ["jobs"]):
            seconds = best_of([*hubman, *words], environment)
            print(f"{'hubman ' + ' '.join(words):<34} {seconds:.3f} s  {seconds / reference:.2f}")


if __name__ == "__main__":
    main()
