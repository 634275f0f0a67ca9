"""The strengths that the layers of the bank read: S[sample, rank] = strength of the rank's LoRA times its block weight."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hubman.lora.blocks import Block, BlockWeights

Rows = Sequence[Sequence[float]]
"""Strengths of each LoRA (columns) for each sample (rows) of a batch."""
Weights = Sequence[Sequence[BlockWeights | None]]
"""Block weights in the same places; None = 1 everywhere."""


class Slot:
    """The strengths of layers of one block whose joined ranks belong to the same LoRAs, in buffers that stay.

    Compiled code takes them as inputs: other strengths are other numbers, not another program.
    """

    def __init__(self, block: Block, owners: Sequence[int], loras: int, like: Tensor) -> None:
        self.block, self.loras = block, loras
        self.active = False
        self._owners = torch.tensor(owners, dtype=torch.long, device=like.device)
        self.table = torch.zeros(1, loras, device=like.device, dtype=like.dtype)
        """[batch, LoRAs]"""
        self.scale = torch.zeros(1, len(owners), device=like.device, dtype=like.dtype)
        """[batch, ranks]"""

    def write(self, table: Tensor) -> None:
        """Take the strengths ``table`` [batch, LoRAs] of this block."""
        scale = table[:, self._owners]
        if table.shape == self.table.shape:
            self.table.copy_(table)
            self.scale.copy_(scale)
        else:
            self.table, self.scale = table.clone(), scale.clone()


class Strengths:
    """The slots of one component."""

    def __init__(self, loras: int, *, always: bool) -> None:
        """``always``: also compute what strengths of nothing but zeros leave as it is, as one compiled program must."""
        self._loras, self._always = loras, always
        self._slots: dict[tuple[Block, tuple[int, ...]], Slot] = {}
        self._last: tuple[object, ...] | None = None

    def slot(self, block: Block, owners: tuple[int, ...], like: Tensor) -> Slot:
        """The slot for a layer; ``like`` has its device and dtype."""
        key = (block, owners)
        if key not in self._slots:
            self._slots[key] = Slot(block, owners, self._loras, like)
        return self._slots[key]

    def set(self, rows: Rows, weights: Weights | None) -> None:
        """The next forward must have exactly these rows."""
        now = (tuple(map(tuple, rows)), weights and tuple(map(tuple, weights)))
        if now == self._last:
            return
        self._last = now
        blocks = list(dict.fromkeys(block for block, _ in self._slots))
        active = self._always or any(any(row) for row in rows)
        for slot in self._slots.values():
            slot.active = active
        if not active or not blocks:
            return
        like = next(iter(self._slots.values())).table
        # In inference mode the buffers could not be written to outside of it.
        with torch.inference_mode(mode=False), torch.no_grad():
            tables = _tables(rows, weights, blocks).to(like)
            by_block = dict(zip(blocks, tables, strict=True))
            for (block, _), slot in self._slots.items():
                slot.write(by_block[block])


def _tables(rows: Rows, weights: Weights | None, blocks: Sequence[Block]) -> Tensor:
    """[blocks, batch, LoRAs], fp32."""
    strengths = torch.tensor(rows, dtype=torch.float32)
    if weights is None or not any(each for row in weights for each in row):
        return strengths.expand(len(blocks), *strengths.shape)
    factors = [[[each.of(block) if each else 1.0 for each in row] for row in weights] for block in blocks]
    return strengths * torch.tensor(factors, dtype=torch.float32)
