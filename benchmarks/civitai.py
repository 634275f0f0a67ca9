"""Every bar of the Civitai client: python benchmarks/civitai.py. Each part runs by itself too, with its options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> None:
    parts = sorted(Path(__file__).parent.glob("civitai_*.py"))
    failed = [part.stem for part in parts if subprocess.run([sys.executable, part], check=False).returncode]
    if failed:
        sys.exit(f"{', '.join(failed)}: a bar does not hold")


if __name__ == "__main__":
    main()
