"""peft's layers, made such that a file holds exactly what they compute.

peft 0.21 has LoRA on Linear and Conv2d (LoCon), LoHa, LoKr and DoRA on the output axis as the file formats define them
(LyCORIS, Yeh et al. 2023; DoRA, Liu et al. 2024). Added here is only what it lacks:

- LoKr: factors in ascending order for every factor, and scale 1 where both factors are full, as readers take it;
- LoHa with a core tensor: peft's own backward takes the gradients of ``w1_a`` and ``w2_a`` from the other core;
- dropout of single ranks and of whole modules for LoRA, of inputs for LoHa and LoKr;
- DoRA on the input axis, the form that A1111, Forge and ComfyUI read;
- DoRA's norms in fp32 under autocast: in bf16 the first step would change the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig
from peft.tuners import loha, lokr, lora
from peft.tuners.lokr.layer import make_weight_cp
from peft.tuners.lora.variants import DoraConv2dVariant, DoraLinearVariant
from torch import Tensor, nn

from registry.errors import UsageError

Kind = Literal["lora", "loha", "lokr"]
Axis = Literal["none", "output", "input"]

NAME = "default"
"""What peft calls the one adapter of a layer."""


@dataclass(frozen=True)
class Form:
    """What hangs at one module. ``lora`` on a convolution larger than 1x1 is what LyCORIS calls LoCon."""

    kind: Kind
    rank: int
    """At least 1."""
    alpha: float
    """The scale is alpha / rank, or alpha / √rank with ``rank_stabilised``."""
    rank_stabilised: bool = False
    dora: Axis = "none"
    """Along which axis the weight's magnitudes are trained; the output axis for ``lora`` without dropouts only."""
    tucker: bool = False
    """LoHa and LoKr on wide convolutions: a core tensor for the kernel."""
    factor: int = -1
    """LoKr: the size of the smaller factor, -1 for the most even split."""
    both: bool = False
    """LoKr: give the first factor a low rank too."""
    dropout: float = 0.0
    """Share of inputs left out in a step."""
    rank_dropout: float = 0.0
    """Share of ranks (LoHa, LoKr: of output rows) left out in a step."""
    module_dropout: float = 0.0
    """Share of modules left out in a step."""

    @property
    def file_alpha(self) -> float:
        """What makes alpha / rank the intended scale for every reader."""
        return self.alpha * self.rank**0.5 if self.rank_stabilised else self.alpha

    @property
    def drops(self) -> bool:
        """Whether steps leave something out at random."""
        return bool(self.dropout or self.rank_dropout or self.module_dropout)


def make_layer(base: nn.Linear | nn.Conv2d, form: Form) -> Any:
    """A peft layer around ``base`` with trainable fp32 tensors. Raises UsageError for what cannot be combined."""
    if isinstance(base, nn.Conv2d) and (base.groups != 1 or max(base.dilation) != 1):
        raise UsageError("a grouped or dilated convolution cannot be adapted", "leave its block out of the network")
    if form.dora == "output" and (form.kind != "lora" or form.drops):
        raise UsageError(
            "DoRA on the output axis goes with plain LoRA and no dropout", "choose the input axis, or set dropouts to 0"
        )
    make = {"lora": _lora, "loha": _loha, "lokr": _lokr}[form.kind]
    # With scaled inputs a module is left out before they are scaled.
    layer = make(base, replace(form, module_dropout=0.0) if form.dora == "input" else form)
    for name, parameter in layer.named_parameters():
        if not name.startswith("base_layer."):
            parameter.data = parameter.data.float()
    if form.dora == "output":
        _start_magnitude(layer)
    elif form.dora == "input":
        if form.module_dropout:
            _LeftOut(form.module_dropout).watch(layer)
        _add_input_magnitude(layer)
    else:
        # Under autocast the cast to fp32 would be undone in the next kernel.
        layer.cast_input_dtype_enabled = False
    return layer.eval()


def _lora(base: nn.Linear | nn.Conv2d, form: Form) -> Any:
    config = LoraConfig(lora_dropout=form.dropout, use_dora=form.dora == "output")
    cls = _LoraLinear if isinstance(base, nn.Linear) else _LoraConv2d
    layer = cls(base, NAME, config=config, r=form.rank, lora_alpha=form.file_alpha)
    layer.module_dropout = form.module_dropout
    if form.rank_dropout:
        layer.lora_A[NAME].register_forward_hook(_RankDropout(form.rank_dropout))
    return layer


def _loha(base: nn.Linear | nn.Conv2d, form: Form) -> Any:
    config = LoHaConfig(
        rank_dropout=form.rank_dropout, module_dropout=form.module_dropout, use_effective_conv2d=form.tucker
    )
    cls = _LoHaLinear if isinstance(base, nn.Linear) else _LoHaConv2d
    layer = cls(base, NAME, config=config, r=form.rank, alpha=form.file_alpha)
    layer.input_dropout = nn.Dropout(form.dropout)
    return layer


def _lokr(base: nn.Linear | nn.Conv2d, form: Form) -> Any:
    config = LoKrConfig(
        rank_dropout=form.rank_dropout,
        module_dropout=form.module_dropout,
        use_effective_conv2d=form.tucker,
        decompose_both=form.both,
        decompose_factor=form.factor,
        init_weights="lycoris",
    )
    cls = _LoKrLinear if isinstance(base, nn.Linear) else _LoKrConv2d
    layer = cls(base, NAME, config=config, r=form.rank, alpha=form.file_alpha)
    layer.input_dropout = nn.Dropout(form.dropout)
    if NAME in layer.lokr_w1 and NAME in layer.lokr_w2:
        layer.scaling[NAME] = 1.0
    return layer


class _PlainStep:
    """peft's LoRA, with less to move where nothing is left out: the change is added in place, as one kernel.

    Otherwise peft's own forward, preceded by the dropout of whole modules.
    """

    training: bool
    base_layer: nn.Module
    lora_A: Any  # noqa: N815 - peft's name
    lora_B: Any  # noqa: N815
    lora_variant: Any
    scaling: dict[str, float]
    disable_adapters: bool
    merged: bool
    module_dropout = 0.0

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not (self.training or self.disable_adapters or self.merged or NAME in self.lora_variant or args or kwargs):
            return self.changed(x)
        if self.training and self.module_dropout and float(torch.rand(1)) < self.module_dropout:
            left: Tensor = self.base_layer(x)
            return left
        answer: Tensor = super().forward(x, *args, **kwargs)  # type: ignore[misc]  # of the peft layer beside it
        return answer

    def changed(self, x: Tensor) -> Tensor:
        """The frozen layer's answer plus the change."""
        raise NotImplementedError


class _LoraLinear(_PlainStep, lora.Linear):  # type: ignore[misc]
    def changed(self, x: Tensor) -> Tensor:
        # Rows of a matrix throughout: adding in place to a view would copy the gradient on the way back.
        rows = x.flatten(0, -2)
        frozen: Tensor = self.base_layer(rows)
        low = self.lora_A[NAME](rows).to(frozen.dtype)
        up = self.lora_B[NAME].weight.to(frozen.dtype)
        return frozen.addmm_(low, up.t(), alpha=self.scaling[NAME]).view(*x.shape[:-1], -1)


class _LoraConv2d(_PlainStep, lora.Conv2d):  # type: ignore[misc]
    def changed(self, x: Tensor) -> Tensor:
        frozen: Tensor = self.base_layer(x)
        change = self.lora_B[NAME](self.lora_A[NAME](x))
        return frozen.add_(change.to(frozen.dtype), alpha=self.scaling[NAME])


class _RankDropout:
    """A hook behind the down matrix: for each sample some ranks are left out, the others scaled up (as sd-scripts)."""

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, module: nn.Module, _inputs: Any, low: Tensor) -> Tensor | None:
        if not module.training:
            return None
        ranks = [1] * (low.dim() - 2)
        shape = (
            (low.shape[0], low.shape[1], *ranks)
            if isinstance(module, nn.Conv2d)
            else (low.shape[0], *ranks, low.shape[-1])
        )
        kept = torch.rand(shape, device=low.device) >= self._share
        return low * kept / (1 - self._share)


class _LeftOut:
    """Hooks around a layer: in some steps the whole adapter is left out, what it does to the inputs included."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._is_out = False

    def watch(self, layer: nn.Module) -> None:
        """Must come before other hooks that change the inputs."""
        layer.register_forward_pre_hook(self._begin)
        layer.register_forward_hook(self._end, always_call=True)

    def _begin(self, layer: Any, _inputs: Any) -> None:
        self._is_out = layer.training and not layer.disable_adapters and float(torch.rand(1)) < self._share
        if self._is_out:
            # Not by peft's method, which would also take the tensors out of the gradients.
            layer._disable_adapters = True

    def _end(self, layer: Any, _inputs: Any, _output: Any) -> None:
        if self._is_out:
            layer._disable_adapters = self._is_out = False


class _InputDropout:
    """Leaves out inputs of the change, not of the frozen layer."""

    input_dropout: nn.Dropout

    def _get_delta_activations(self, adapter_name: str, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        answer: Tensor = super()._get_delta_activations(adapter_name, self.input_dropout(x), *args, **kwargs)  # type: ignore[misc]
        return answer


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


class _LoHaLinear(_InputDropout, loha.Linear):  # type: ignore[misc]
    pass


class _LoHaConv2d(_InputDropout, loha.Conv2d):  # type: ignore[misc]
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


class _LoKrLinear(_InputDropout, _Ascending, lokr.Linear):  # type: ignore[misc]
    pass


class _LoKrConv2d(_InputDropout, _Ascending, lokr.Conv2d):  # type: ignore[misc]
    pass


class _DoraLinear(DoraLinearVariant):  # type: ignore[misc]
    @staticmethod
    def forward(module: Any, active_adapter: str, x: Tensor, result: Tensor, **kwargs: Any) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            answer: Tensor = DoraLinearVariant.forward(module, active_adapter, x, result, **kwargs)
        return answer


class _DoraConv2d(DoraConv2dVariant):  # type: ignore[misc]
    @staticmethod
    def forward(module: Any, active_adapter: str, x: Tensor, result: Tensor, **kwargs: Any) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            answer: Tensor = DoraConv2dVariant.forward(module, active_adapter, x, result, **kwargs)
        return answer


def _start_magnitude(layer: Any) -> None:
    """Magnitudes of the frozen weight, by the very arithmetic of the step: their ratio starts as exactly 1."""
    layer.lora_variant[NAME] = _DoraLinear() if isinstance(layer, lora.Linear) else _DoraConv2d()
    weight = layer.get_base_layer().weight.detach().float()
    magnitude = layer.lora_magnitude_vector[NAME]
    start = magnitude.get_weight_norm(weight=weight, lora_weight=torch.zeros_like(weight), scaling=1.0)
    magnitude.weight.data = start.clone()


def input_norm(weight: Tensor) -> Tensor:
    """Norm of each input column, ``[1, in(, 1, 1)]``."""
    axes = [axis for axis in range(weight.dim()) if axis != 1]
    norm: Tensor = torch.linalg.vector_norm(weight, dim=axes, keepdim=True) + torch.finfo(weight.dtype).eps
    return norm


def _add_input_magnitude(layer: Any) -> None:
    """DoRA on the input axis: scaling a column of W + ΔW is scaling that input, so peft's layer does all the rest."""
    start = input_norm(layer.get_base_layer().weight.detach().float())
    layer.register_parameter("dora_scale", nn.Parameter(start))
    layer.register_forward_pre_hook(_scale_inputs)
    layer.cast_input_dtype_enabled = False


def _scale_inputs(layer: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    if layer.disable_adapters:
        return inputs
    x, *rest = inputs
    # The norm is a constant to the gradient (section 4.3 of the paper), as in peft's layers.
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        norm = input_norm(layer.get_base_layer().weight.float() + layer.get_delta_weight(NAME))
    ratio = layer.dora_scale / norm
    return (x * (ratio.flatten() if ratio.dim() == 2 else ratio), *rest)
