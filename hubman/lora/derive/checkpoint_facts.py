"""What the header of an extracted LoRA says of the two checkpoints."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hubman import bases
from hubman.train.architectures.detect import detect
from hubman.train.output.export import file_hashes
from registry.errors import HubError


def hashes_of(tuned: Path, base: Path) -> dict[str, str]:
    """The SHA-256 of ``tuned`` and ``base``; folders have none."""
    return {name: file_hashes(path)[1] for name, path in (("tuned", tuned), ("base", base)) if path.is_file()}


def of_base(base: Path) -> dict[str, str]:
    """The ``ss_`` entries of the base: its plain name, and the hashes of a single file."""
    named = {"ss_sd_model_name": bases.display_name(base), **_prediction(base)}
    if not base.is_file():
        return named
    short, full = file_hashes(base)
    return {**named, "ss_sd_model_hash": short, "ss_new_sd_model_hash": full}


def _prediction(base: Path) -> dict[str, str]:
    """What a base of diffusion answers; nothing of one that flows or that is of no family known here."""
    with contextlib.suppress(HubError):
        answer = detect(base).prediction
        if answer in ("epsilon", "v"):
            return {"modelspec.prediction_type": answer}
    return {}
