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

from dataclasses import replace
from typing import Any

from peft import LoHaConfig, LoKrConfig, LoraConfig
from torch import nn

from hubman.train.adapters.dora import add_input_magnitude, start_magnitude
from hubman.train.adapters.dropouts import LeftOut, RankDropout
from hubman.train.adapters.forms import NAME, Form
from hubman.train.adapters.lora_layers import LoraConv2d, LoraLinear
from hubman.train.adapters.lycoris_layers import LoHaConv2d, LoHaLinear, LoKrConv2d, LoKrLinear
from registry.errors import UsageError


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
        start_magnitude(layer)
    elif form.dora == "input":
        if form.module_dropout:
            LeftOut(form.module_dropout).watch(layer)
        add_input_magnitude(layer)
    else:
        # Under autocast the cast to fp32 would be undone in the next kernel.
        layer.cast_input_dtype_enabled = False
    return layer.eval()


def _lora(base: nn.Linear | nn.Conv2d, form: Form) -> Any:
    config = LoraConfig(lora_dropout=form.dropout, use_dora=form.dora == "output")
    cls = LoraLinear if isinstance(base, nn.Linear) else LoraConv2d
    layer = cls(base, NAME, config=config, r=form.rank, lora_alpha=form.file_alpha)
    layer.module_dropout = form.module_dropout
    if form.rank_dropout:
        layer.lora_A[NAME].register_forward_hook(RankDropout(form.rank_dropout))
    return layer


def _loha(base: nn.Linear | nn.Conv2d, form: Form) -> Any:
    config = LoHaConfig(
        rank_dropout=form.rank_dropout, module_dropout=form.module_dropout, use_effective_conv2d=form.tucker
    )
    cls = LoHaLinear if isinstance(base, nn.Linear) else LoHaConv2d
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
    cls = LoKrLinear if isinstance(base, nn.Linear) else LoKrConv2d
    layer = cls(base, NAME, config=config, r=form.rank, alpha=form.file_alpha)
    layer.input_dropout = nn.Dropout(form.dropout)
    if NAME in layer.lokr_w1 and NAME in layer.lokr_w2:
        layer.scaling[NAME] = 1.0
    return layer
