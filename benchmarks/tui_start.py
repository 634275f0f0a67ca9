"""How long until the first paint of the TUI, against an empty Textual app in the same Python.

Prints one line a measure and the ratio; the budget is 2.5. Each start is a process of its own, both kinds in turn,
so that a busy machine slows both alike; the ratio is that of the medians.

    python benchmarks/tui_start.py [--models 1000] [--runs 7]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

BUDGET = 2.5
_SCRIPT = """
import sys, time
begin = time.perf_counter()
import asyncio, os
{imports}

async def main():
    app = {app}
    painted = asyncio.Event()

    def look():
        painted.set()

    async with app.run_test(size=(120, 40)):
        app.call_after_refresh(look)
        await painted.wait()
        print(time.perf_counter() - begin)
        sys.stdout.flush()
        os._exit(0)

asyncio.run(main())
"""
_EMPTY = _SCRIPT.format(imports="from textual.app import App", app="App()")
_HUBMAN = _SCRIPT.format(
    imports="from pathlib import Path\nfrom tui.app import HubmanApp", app="HubmanApp(Path(sys.argv[1]))"
)
_FILL = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from registry.database import Registry
from tests.support.library_factory import fill
with Registry(Path(sys.argv[1])) as registry:
    fill(registry, int(sys.argv[2]))
"""


def first_paint(script: str, *arguments: str) -> float:
    """Seconds from the start of the interpreter's work to the first painted screen."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=1000, help="models in the library that is opened")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    root = str(Path(__file__).parent.parent)
    with tempfile.TemporaryDirectory() as folder:
        home = str(Path(folder) / "home")
        subprocess.run([sys.executable, "-c", _FILL.format(root=root), home, str(options.models)], check=True)
        pairs = [(first_paint(_EMPTY), first_paint(_HUBMAN, home)) for _ in range(options.runs)]
    empty, hubman = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    print(f"empty Textual app  {empty * 1000:7.0f} ms")
    print(f"hubman             {hubman * 1000:7.0f} ms  ({options.models} models)")
    print(f"ratio              {hubman / empty:7.2f}     (budget {BUDGET})")
    sys.exit(hubman / empty > BUDGET)


if __name__ == "__main__":
    main()
