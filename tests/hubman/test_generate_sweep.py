"""Axes are exact, grids are drawn once and resume."""

from __future__ import annotations

import pytest

from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.sweep import strength_sweep
from registry.errors import UsageError

INK = LoraUse(path="ink.safetensors", name="ink", sha256="a" * 64, trigger_words=("inkwash",))
NEON = LoraUse(path="neon.safetensors", name="neon", sha256="b" * 64)
REQUEST = DrawRequest(base="base", prompt="inkwash circle", loras=(INK, NEON))


def test_a_sweep_always_has_strength_zero_and_its_contrast_cells() -> None:
    sweep = strength_sweep(REQUEST, "ink", strengths=[0.8, 0.4], seeds=[1, 2], contrast="a square")
    assert sweep.strengths == (0.0, 0.4, 0.8)
    assert len({request.key() for request in sweep.requests()}) == 12
    assert sweep.grid().axes[0].values == ("0", "0.4", "0.8")
    with pytest.raises(UsageError, match="not in the prompt"):
        strength_sweep(REQUEST, "clay")
    with pytest.raises(UsageError, match="contrast"):
        strength_sweep(REQUEST, "ink", contrast=REQUEST.prompt)
