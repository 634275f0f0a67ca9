"""What a training gives up for memory, rung by rung, the cheapest first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from registry.errors import HubError

Choice = Literal["auto", "on", "off"]
Quantize = Literal["auto", "off", "int8"]

MARGIN = 0.92
"""The share of the free memory that a forecast may fill: allocators leave gaps."""


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """How memory is saved. The first rung saves none."""

    checkpointing: bool = False
    """Blocks are computed twice instead of being remembered: a third more time, a tenth to a sixth of the memory."""
    split: int = 1
    """Parts of each batch that go through the model one after the other; their gradients are summed."""
    offload: bool = False
    """Frozen weights wait in main memory and visit the accelerator when they are used."""
    int8: bool = False
    """Frozen weights are held in 8 bits with a scale for each output channel."""

    def __str__(self) -> str:
        words = {
            "gradient checkpointing": self.checkpointing,
            f"batch in {self.split} parts": self.split > 1,
            "frozen weights in main memory": self.offload,
            "frozen weights in 8 bits": self.int8,
        }
        return ", ".join(word for word, used in words.items() if used) or "nothing saved"


def rungs(
    batch: int, *, checkpointing: Choice = "auto", offload: Choice = "auto", quantize: Quantize = "auto", host: bool
) -> tuple[Rung, ...]:
    """The rungs that a recipe allows, from the fastest to the one that needs least.

    ``on`` holds for all of them and ``off`` for none. ``host`` says that the model is in main memory anyway, where
    there is nothing to offload.
    """
    offload = "off" if host else offload
    rung = Rung(checkpointing=checkpointing == "on", offload=offload == "on", int8=quantize == "int8")
    found = [rung]
    if checkpointing == "auto":
        found.append(rung := msgspec.structs.replace(rung, checkpointing=True))
    split = 1
    while split < batch:
        split = min(batch, split * 2)
        found.append(rung := msgspec.structs.replace(rung, split=split))
    if offload == "auto":
        found.append(rung := msgspec.structs.replace(rung, offload=True))
    if quantize == "auto":
        found.append(msgspec.structs.replace(rung, int8=True))
    return tuple(found)


def choose(ladder: tuple[Rung, ...], needs: Callable[[Rung], int], free: int) -> int:
    """The index of the first rung whose forecast ``needs`` (bytes) fits into ``free``; the last one if none does."""
    for index, rung in enumerate(ladder):
        if needs(rung) <= MARGIN * free:
            return index
    return len(ladder) - 1


def lower(ladder: tuple[Rung, ...], index: int) -> int:
    """The next rung after memory ran out. Raises HubError on the last one."""
    if index + 1 < len(ladder):
        return index + 1
    hint = "lower length.batch or images.resolutions, or close what else uses the memory"
    raise HubError(f"the memory does not suffice, even with {ladder[index]}", hint)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that an allocator, of whatever device, had no more memory."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
