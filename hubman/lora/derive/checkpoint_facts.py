"""What the header of an extracted LoRA says of the two checkpoints."""

from __future__ import annotations

from pathlib import Path

from hubman import bases
from hubman.train.output.export import file_hashes


def hashes_of(tuned: Path, base: Path) -> dict[str, str]:
    """The SHA-256 of ``tuned`` and ``base``; folders have none."""
    return {name: file_hashes(path)[1] for name, path in (("tuned", tuned), ("base", base)) if path.is_file()}


def of_base(base: Path) -> dict[str, str]:
    """The ``ss_`` entries of the base: its plain name, and the hashes of a single file."""
    named = {"ss_sd_model_name": bases.display_name(base)}
    if not base.is_file():
        return named
    short, full = file_hashes(base)
    return {**named, "ss_sd_model_hash": short, "ss_new_sd_model_hash": full}
