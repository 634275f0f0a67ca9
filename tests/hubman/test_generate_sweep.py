"""Axes are exact, grids are drawn once and resume."""

from __future__ import annotations

import msgspec
import pytest

from hubman.generate.guards import grid_guards, guards
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


def _codes(**changes: object) -> set[str]:
    return {guard.code for guard in guards(msgspec.structs.replace(REQUEST, **changes))}


def _ink(**changes: object) -> LoraUse:
    return msgspec.structs.replace(INK, **changes)


def test_guards_warn_with_a_fix_that_silences_them() -> None:
    assert _codes(loras=(_ink(strength=0.8),)) == set()
    assert _codes(loras=(_ink(strength=0.95),)) == {"strength-high"}
    assert _codes(loras=(_ink(strength=-0.5),)) == {"strength-negative"}
    assert _codes(loras=(_ink(strength=0.8),), prompt="a circle") == {"trigger-missing"}
    four = tuple(_ink(strength=0.5, name=str(i), sha256=str(i) * 64) for i in range(4))
    assert _codes(loras=four) == {"many-loras"}
    assert _codes(loras=(_ink(strength=0.5), _ink(strength=0.4))) == {"twice"}
    assert _codes(loras=(_ink(strength=0.8, name="lcm"),)) == {"accelerated"}
    for guard in guards(msgspec.structs.replace(REQUEST, prompt="x", loras=(_ink(strength=1.5),))):
        assert guard.fixed is not None
        assert guard.code not in {other.code for other in guards(guard.fixed)}


def test_sliders_may_run_far_but_not_everywhere() -> None:
    assert _codes(loras=(_ink(strength=-9, slider=True),)) == set()
    assert _codes(loras=(_ink(strength=20, slider=True),)) == {"strength-slider"}


def test_large_grids_say_how_long_they_take() -> None:
    assert grid_guards(200) == ()
    assert "10 minutes" in grid_guards(300, seconds_each=2)[0].message
