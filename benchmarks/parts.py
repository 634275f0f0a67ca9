"""Every bar of one subject: python benchmarks/parts.py civitai|publish|sync. Each part runs by itself too, with its options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(subject: str) -> None:
    parts = sorted(
        part for part in Path(__file__).parent.glob(f"{subject}[._]*py") if not part.stem.endswith("_references")
    )
    if not parts:
        sys.exit("civitai, publish or sync?")
    failed = [part.stem for part in parts if subprocess.run([sys.executable, part], check=False).returncode]
    if failed:
        sys.exit(f"{', '.join(failed)}: a bar does not hold")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) == 2 else "")
