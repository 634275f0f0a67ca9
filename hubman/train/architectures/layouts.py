"""Where the layouts of single-file checkpoints lie; see the README beside them."""

from __future__ import annotations

from pathlib import Path

LAYOUTS = Path(__file__).parents[2] / "generate" / "families"
