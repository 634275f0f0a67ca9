"""Every bar of one subject: python benchmarks/parts.py civitai|publish. Each part runs by itself too, with its options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(subject: str) -> None:
    parts = sorted(Path(__file__).parent.glob(f"{subject}_*.py"))
    if not parts:
        sys.exit("civitai or publish?")
    failed = [part.stem for part in parts if subprocess.run([sys.executable, part], check=False).returncode]
    if failed:
        sys.exit(f"{', '.join(failed)}: a bar does not hold")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) == 2 else "")
