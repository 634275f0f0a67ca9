"""Compiling the blocks of a model, once for all blocks that are alike (regional compilation), when it pays."""

from __future__ import annotations

from typing import Any

from hubman.train.capacity.forecast import Forecast
from hubman.train.capacity.ladder import Choice

COST_S = 90.0
"""Seconds that compiling the blocks takes at most, forward and backward."""
SAVED = 0.15
"""The share of a step that it saves at least on a card, where kernels wait for memory; on a CPU they do not."""
_MARGIN = 2.0


def pays(choice: Choice, device: str, forecast: Forecast) -> bool:
    """Whether to compile: as the recipe says, or where a long run on a card saves clearly more than it costs.

    Weights that are held in 8 bits or in main memory are made by steps of our own, which a compiler cannot look into.
    """
    if choice != "auto":
        return choice == "on"
    held = forecast.rung.int8 or forecast.rung.offload
    return device == "cuda" and not held and SAVED * forecast.seconds > _MARGIN * COST_S


def compile_blocks(denoiser: Any) -> bool:
    """Mark the repeated blocks to be compiled at their first call; False where the model has none."""
    if not getattr(denoiser, "_repeated_blocks", None):
        return False
    # Buckets differ in size: without it each would be compiled anew.
    denoiser.compile_repeated_blocks(dynamic=True)
    return True


def uncompile(denoiser: Any) -> None:
    """Go back to the plain modules, as where no compiler is installed."""
    for module in denoiser.modules():
        if getattr(module, "_compiled_call_impl", None) is not None:
            module._compiled_call_impl = None


def is_compiler_missing(error: BaseException) -> bool:
    """Whether ``error`` is of the compiler rather than of what it compiles."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
