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
    """What the layers of one block read whose joined ranks belong to the same LoRAs."""

    def __init__(self, loras: int) -> None:
        self.active = False
        self.loras = loras
        self.table: Tensor
        """[batch, LoRAs]"""
        self.scale: Tensor
        """[batch, ranks]"""


class _Group:
    """The slots of several blocks whose joined ranks belong to the same LoRAs, in buffers that they are views of.

    The buffers stay: compiled code takes them as inputs, so other strengths are other numbers, not another program.
    One write for all blocks takes a tenth of the time that one for each takes.
    """

    def __init__(self, owners: Sequence[int], loras: int, like: Tensor) -> None:
        self._owners = torch.tensor(owners, dtype=torch.long, device=like.device)
        self._like = torch.zeros(0, device=like.device, dtype=like.dtype)
        self._loras = loras
        self._slots: dict[Block, Slot] = {}
        self._tables = self._scales = self._like

    def slot(self, block: Block) -> Slot:
        if block not in self._slots:
            self._slots[block] = Slot(self._loras)
            self._share(torch.zeros(len(self._slots), 1, self._loras).to(self._like))
        return self._slots[block]

    def activate(self, active: bool) -> None:
        for slot in self._slots.values():
            slot.active = active

    def write(self, rows: Rows, weights: Weights | None) -> None:
        """Take the strengths of all blocks."""
        tables = _tables(rows, weights, list(self._slots)).to(self._like)
        if tables.shape == self._tables.shape:
            self._tables.copy_(tables)
            self._scales.copy_(tables[:, :, self._owners])
        else:
            self._share(tables)

    def _share(self, tables: Tensor) -> None:
        self._tables, self._scales = tables.contiguous(), tables[:, :, self._owners]
        for slot, table, scale in zip(self._slots.values(), self._tables, self._scales, strict=True):
            slot.table, slot.scale = table, scale


class Strengths:
    """The slots of one component."""

    def __init__(self, loras: int, *, always: bool) -> None:
        """``always``: also compute what strengths of nothing but zeros leave as it is, as one compiled program must."""
        self._loras, self._always = loras, always
        self._groups: dict[tuple[object, ...], _Group] = {}
        self._last: tuple[object, ...] | None = None

    def slot(self, block: Block, owners: tuple[int, ...], like: Tensor) -> Slot:
        """The slot for a layer; ``like`` has its device and dtype."""
        key = (owners, like.device, like.dtype)
        if key not in self._groups:
            self._groups[key] = _Group(owners, self._loras, like)
        return self._groups[key].slot(block)

    def set(self, rows: Rows, weights: Weights | None) -> None:
        """The next forward must have exactly these rows."""
        now = (tuple(map(tuple, rows)), weights and tuple(map(tuple, weights)))
        if now == self._last:
            return
        self._last = now
        active = self._always or any(any(row) for row in rows)
        # In inference mode the buffers could not be written to outside of it.
        with torch.inference_mode(mode=False), torch.no_grad():
            for group in self._groups.values():
                group.activate(active)
                if active:
                    group.write(rows, weights)


def _tables(rows: Rows, weights: Weights | None, blocks: Sequence[Block]) -> Tensor:
    """[blocks, batch, LoRAs], fp32."""
    strengths = torch.tensor(rows, dtype=torch.float32)
    if weights is None or not any(each for row in weights for each in row):
        return strengths.expand(len(blocks), *strengths.shape)
    factors = [[[each.of(block) if each else 1.0 for each in row] for row in weights] for block in blocks]
    return strengths * torch.tensor(factors, dtype=torch.float32)
