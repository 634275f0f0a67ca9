"""peft's LoHa and LoKr (LyCORIS, Yeh et al. 2023), made such that a file holds exactly what they compute."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners import loha, lokr
from peft.tuners.lokr.layer import make_weight_cp
from torch import Tensor

from hubman.train.adapters.dropouts import InputDropout


class _Ascending:
    """LoKr factors in ascending order, as LyCORIS has them; peft leaves ``factor`` first even if it is the larger."""

    _both = False

    def update_layer(self, adapter_name: str, r: int, alpha: float, config: Any, **kwargs: Any) -> None:
        self._both = config.decompose_both
        super().update_layer(adapter_name, r, alpha, config, **kwargs)  # type: ignore[misc]

    def create_adapter_parameters(
        self, adapter_name: str, r: int, shape: Any, _use_w1: bool, _use_w2: bool, use_effective_conv2d: bool
    ) -> None:
        (rows, inner_rows), (columns, inner_columns) = sorted(shape[0]), sorted(shape[1])
        use_w1 = not (self._both and r < max(rows, columns) / 2)
        use_w2 = r >= max(inner_rows, inner_columns) / 2
        ordered = ((rows, inner_rows), (columns, inner_columns), *shape[2:])
        super().create_adapter_parameters(adapter_name, r, ordered, use_w1, use_w2, use_effective_conv2d)  # type: ignore[misc]


class LoHaLinear(InputDropout, loha.Linear):  # type: ignore[misc]
    pass


class LoHaConv2d(InputDropout, loha.Conv2d):  # type: ignore[misc]
    def get_delta_weight(self, adapter_name: str, *, apply_rank_dropout: bool = False) -> Tensor:
        if adapter_name not in self.hada_t1:
            made: Tensor = super().get_delta_weight(adapter_name, apply_rank_dropout=apply_rank_dropout)
            return made
        one, two = (
            make_weight_cp(t[adapter_name], a[adapter_name], b[adapter_name])
            for t, a, b in (
                (self.hada_t1, self.hada_w1_a, self.hada_w1_b),
                (self.hada_t2, self.hada_w2_a, self.hada_w2_b),
            )
        )
        weight: Tensor = one * two * self.scaling[adapter_name]
        if apply_rank_dropout:
            kept = (torch.rand(weight.shape[0]) > self.rank_dropout[adapter_name]).to(weight)
            weight = weight * (kept / kept.mean()).view(-1, 1, 1, 1)
        return weight


class LoKrLinear(InputDropout, _Ascending, lokr.Linear):  # type: ignore[misc]
    pass


class LoKrConv2d(InputDropout, _Ascending, lokr.Conv2d):  # type: ignore[misc]
    pass
