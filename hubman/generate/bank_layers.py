"""What the bank puts in the place of a module: the module itself, and the joined changes of all LoRAs that touch it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubman.generate.bank_strengths import Slot
from hubman.lora.change import Change
from hubman.lora.factors import Factors
from hubman.lora.keys import Site

Owned = Sequence[tuple[int, Change]]
"""Numbers of LoRAs, and what each changes here."""


def padded(rank: int) -> int:
    """16, 32, 64, 128, then multiples of 128: the same shapes for most sets of LoRAs, so that compiled code fits."""
    return next((size for size in (16, 32, 64) if rank <= size), -(-rank // 128) * 128)


def layer_for(site: Site, base: nn.Module, owned: Owned, slot: Slot, *, pad: bool) -> Adapted:
    """The layer that belongs at ``site``."""
    if site.is_norm:
        return _AdaptedNorm(base, owned, slot)
    return (_AdaptedConv if site.is_conv else _AdaptedLinear)(base, owned, slot, pad=pad)


def owners_of(owned: Owned, *, pad: bool) -> tuple[int, ...]:
    """Which LoRA owns each rank of the joined factors; padding belongs to the first, its factors are zeros."""
    parts = _low_rank(owned)
    ranks = [number for number, factors in parts for _ in range(factors.rank)]
    return tuple(ranks + [0] * (padded(len(ranks)) - len(ranks)) if pad and ranks else ranks)


def _low_rank(owned: Owned) -> list[tuple[int, Factors]]:
    return [(number, change.factors) for number, change in owned if change.factors and not change.factors.is_full]


class Adapted(nn.Module):
    """A frozen module with the joined changes of the LoRAs that touch it."""

    def __init__(self, base: nn.Module, owned: Owned, slot: Slot) -> None:
        super().__init__()
        self.base = base
        self.slot = slot
        self.bias_rows = self._rows({number: change.bias for number, change in owned if change.bias is not None})

    @property
    def weight(self) -> Tensor:
        weight = self.base.weight
        assert isinstance(weight, Tensor)  # noqa: S101 - tells mypy what the adapted modules hold
        return weight

    @property
    def bias(self) -> object:
        return self.base.bias

    def _rows(self, vectors: Mapping[int, Tensor]) -> Tensor | None:
        """One row for each LoRA, zeros for those that say nothing; None if none does."""
        if not vectors:
            return None
        rows = torch.zeros(self.slot.loras, next(iter(vectors.values())).shape[0])
        for number, vector in vectors.items():
            rows[number] = vector
        return rows.to(self.weight)

    def _add_bias(self, y: Tensor, *, channels_at: int) -> Tensor:
        if self.bias_rows is not None:
            y += _spread(self.slot.table @ self.bias_rows, y, channels_at)
        return y


def _spread(rows: Tensor, like: Tensor, channels_at: int) -> Tensor:
    """``rows`` [batch, channels] such that they broadcast over ``like``."""
    shape = [rows.shape[0], *[1] * (like.dim() - 1)]
    shape[channels_at] = rows.shape[1]
    return rows.view(shape)


class _AdaptedMatrix(Adapted):
    """A Linear or Conv2d: factors joined along the rank, and each change that has no low rank by itself."""

    def __init__(self, base: nn.Module, owned: Owned, slot: Slot, *, pad: bool) -> None:
        super().__init__(base, owned, slot)
        parts = _low_rank(owned)
        self.low_rank = bool(parts)
        if parts:
            spare = len(owners_of(owned, pad=pad)) - sum(factors.rank for _, factors in parts)
            down = torch.cat([factors.down for _, factors in parts])
            up = torch.cat([factors.up for _, factors in parts], dim=1)
            self.down = F.pad(down, (*(0, 0) * (down.dim() - 1), 0, spare)).to(self.weight)
            self.up = self._up(F.pad(up, (0, spare)).to(self.weight))
        whole = [(number, change.factors) for number, change in owned if change.factors and change.factors.is_full]
        self.whole_numbers = [number for number, _ in whole]
        self.wholes = [self._whole(factors) for _, factors in whole]

    def _up(self, up: Tensor) -> Tensor:
        return up

    def _whole(self, factors: Factors) -> tuple[Tensor, ...]:
        tensors = factors.kron or (factors.delta(),)
        return tuple(tensor.to(self.weight) for tensor in tensors)


class _AdaptedLinear(_AdaptedMatrix):
    base: nn.Linear

    def _up(self, up: Tensor) -> Tensor:
        return up.t().contiguous()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        if not self.slot.active:
            return y
        ones = [1] * (x.dim() - 2)
        if self.low_rank:
            hidden = F.linear(x, self.down).mul_(self.slot.scale.view(x.shape[0], *ones, -1))
            y.view(-1, y.shape[-1]).addmm_(hidden.view(-1, hidden.shape[-1]), self.up)
        for number, tensors in zip(self.whole_numbers, self.wholes, strict=True):
            strength = self.slot.table[:, number].view(-1, *ones, 1)
            y.addcmul_(_kron(x, *tensors) if len(tensors) == 2 else F.linear(x, *tensors), strength)
        return self._add_bias(y, channels_at=-1)


def _kron(x: Tensor, w1: Tensor, w2: Tensor) -> Tensor:
    """kron(w1, w2) · x without forming it: two small products instead of a large one."""
    hidden = F.linear(torch.unflatten(x, -1, (w1.shape[1], w2.shape[1])), w2)
    return (w1 @ hidden).flatten(-2)


class _AdaptedConv(_AdaptedMatrix):
    base: nn.Conv2d

    def _up(self, up: Tensor) -> Tensor:
        return up[:, :, None, None].contiguous()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        if not self.slot.active:
            return y
        if self.low_rank:
            y += F.conv2d(self._conv(x, self.down).mul_(self.slot.scale[:, :, None, None]), self.up)
        for number, tensors in zip(self.whole_numbers, self.wholes, strict=True):
            strength = self.slot.table[:, number].view(-1, 1, 1, 1)
            y.addcmul_(self._kron(x, *tensors) if len(tensors) == 2 else self._conv(x, *tensors), strength)
        return self._add_bias(y, channels_at=1)

    def _conv(self, x: Tensor, kernel: Tensor) -> Tensor:
        return F.conv2d(x, kernel, None, self.base.stride, self.base.padding, self.base.dilation)

    def _kron(self, x: Tensor, w1: Tensor, w2: Tensor) -> Tensor:
        split = torch.unflatten(x, 1, (w1.shape[1], w2.shape[1]))
        hidden = torch.unflatten(self._conv(split.flatten(0, 1), w2), 0, split.shape[:2])
        return torch.einsum("ab,nbchw->nachw", w1, hidden).flatten(1, 2)


class _AdaptedNorm(Adapted):
    base: nn.GroupNorm | nn.LayerNorm

    def __init__(self, base: nn.Module, owned: Owned, slot: Slot) -> None:
        super().__init__(base, owned, slot)
        self.norm_rows = self._rows({number: change.norm for number, change in owned if change.norm is not None})

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        if not self.slot.active:
            return y
        at = 1 if isinstance(self.base, nn.GroupNorm) else -1
        if self.norm_rows is not None:
            y += self._normalised(x) * _spread(self.slot.table @ self.norm_rows, y, at)
        return self._add_bias(y, channels_at=at)

    def _normalised(self, x: Tensor) -> Tensor:
        norm = self.base
        if isinstance(norm, nn.GroupNorm):
            return F.group_norm(x, norm.num_groups, eps=norm.eps)
        return F.layer_norm(x, norm.normalized_shape, eps=norm.eps)
