"""Every bar of publishing: python benchmarks/publish.py. Each part runs by itself too, with its options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> None:
    parts = sorted(Path(__file__).parent.glob("publish_*.py"))
    failed = [part.stem for part in parts if subprocess.run([sys.executable, part], check=False).returncode]
    if failed:
        sys.exit(f"{', '.join(failed)}: a bar does not hold")


if __name__ == "__main__":
    main()
