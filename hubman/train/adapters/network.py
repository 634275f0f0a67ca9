"""The trained network: an adapter at each target, under the key that the file will store it by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hubman.train.adapters.dora import input_norm
from hubman.train.adapters.forms import NAME, Form
from hubman.train.adapters.network_layers import make_layer
from hubman.train.learning.batches import keyed_seed
from hubman.train.settings.learning import Part

_FILE_NAMES = {
    "lora_A.default.weight": "lora_down.weight",
    "lora_B.default.weight": "lora_up.weight",
    "lora_magnitude_vector.default.weight": "dora_scale",
}
STARTS_AT_ZERO = ("lora_up.weight", "hada_w2_b", "lokr_w2", "lokr_w2_b")
MAGNITUDE = "dora_scale"


@dataclass(frozen=True)
class Target:
    """A Linear or Conv2d to adapt: its file key, and where it hangs."""

    key: str
    """In kohya's spelling, such as ``lora_unet_mid_block_attentions_0_proj_in``."""
    root: nn.Module
    path: str
    text: bool = False
    """Part of a text encoder, so trained at that rate."""

    @property
    def part(self) -> Part:
        """What has a rate of its own, by the key."""
        if not self.text:
            return "model"
        return "text2" if self.key.startswith("lora_te2_") else "text"

    @property
    def layer(self) -> nn.Linear | nn.Conv2d:
        """The frozen layer, whether an adapter hangs there or not."""
        layer = self.root.get_submodule(self.path)
        layer = getattr(layer, "base_layer", layer)
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            raise TypeError(f"{self.path} is a {type(layer).__name__}")
        return layer

    @property
    def wide(self) -> bool:
        """A convolution larger than 1x1, which has a rank of its own."""
        layer = self.layer
        return isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1)


FormOf = Callable[[Target], Form | None]
"""The form of each target, None for one that stays as it is."""


class Adapter:
    """A peft layer in place in the model, and what the file calls its tensors."""

    def __init__(self, target: Target, form: Form, seed: int) -> None:
        self.target, self.form = target, form
        self.layer = make_layer(target.layer, form)
        named = self.layer.named_parameters()
        self.tensors: dict[str, nn.Parameter] = {
            _FILE_NAMES.get(name, name.removesuffix(f".{NAME}")): parameter
            for name, parameter in named
            if not name.startswith("base_layer.")
        }
        """Trained tensors by the suffix that the file gives them."""
        self._start(torch.Generator().manual_seed(seed))

    @property
    def base(self) -> nn.Linear | nn.Conv2d:
        """The frozen layer."""
        base: nn.Linear | nn.Conv2d = self.layer.get_base_layer()
        return base

    @property
    def scale(self) -> float:
        """What the product of the factors is multiplied with."""
        return float(self.layer.scaling[NAME])

    @property
    def alpha(self) -> float:
        """What the file says: alpha / rank is the scale."""
        return self.scale * self.form.rank

    def file_tensors(self) -> dict[str, Tensor]:
        """Every tensor of the module as a file holds it, fp32, detached, ``alpha`` among them."""
        tensors = {suffix: parameter.detach() for suffix, parameter in self.tensors.items()}
        if self.form.dora == "output":
            ones = [1] * (self.base.weight.dim() - 1)
            tensors[MAGNITUDE] = tensors[MAGNITUDE].reshape(-1, *ones)
        return {**tensors, "alpha": torch.tensor(self.alpha)}

    @torch.no_grad()
    def delta(self) -> Tensor:
        """The change of the base weight at strength 1, fp32, of its shape."""
        change: Tensor = self.layer.get_delta_weight(NAME).view(self.base.weight.shape)
        if self.form.dora == "none":
            return change
        frozen = self.base.weight.float()
        whole = frozen + change
        return whole * (self.file_tensors()[MAGNITUDE] / self._norm(whole)) - frozen

    @torch.no_grad()
    def measure_magnitude(self) -> None:
        """Let DoRA's magnitudes be those of the changed weight, so that they change nothing by themselves."""
        change = self.layer.get_delta_weight(NAME).view(self.base.weight.shape)
        magnitude = self.tensors[MAGNITUDE]
        magnitude.copy_(self._norm(self.base.weight.float() + change).reshape(magnitude.shape))

    @torch.no_grad()
    def limit_norm(self, most: float) -> None:
        """Shrink the factors such that the Frobenius norm of their product, scaled, is at most ``most``."""
        factors = [tensor for suffix, tensor in self.tensors.items() if suffix != MAGNITUDE]
        if self.form.kind == "lora":
            down, up = (self.tensors[f"lora_{side}.weight"].flatten(1) for side in ("down", "up"))
            square = ((up.t() @ up) * (down @ down.t())).sum().clamp(min=0)
            norm = square.sqrt() * self.scale
        else:
            norm = self.layer.get_delta_weight(NAME).norm()
        share = (most / norm.clamp(min=most)) ** (1 / len(factors))
        for factor in factors:
            factor.mul_(share)

    def _norm(self, weight: Tensor) -> Tensor:
        if self.form.dora == "input":
            return input_norm(weight)
        return input_norm(weight.transpose(0, 1)).transpose(0, 1)

    @torch.no_grad()
    def _start(self, generator: torch.Generator) -> None:
        for suffix, parameter in self.tensors.items():
            if suffix in STARTS_AT_ZERO:
                parameter.zero_()
            elif suffix != MAGNITUDE:
                # Drawn on the CPU, so that every device starts alike.
                start = torch.empty(parameter.shape)
                nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
                parameter.copy_(start)


class Network:
    """Every adapter of a training, by file key, in place in the model."""

    def __init__(self, targets: Sequence[Target], form_of: FormOf, *, seed: int) -> None:
        """Wrap the targets that get a form; the same seed starts each module the same, whatever others there are."""
        self.layers: dict[str, Adapter] = {}
        # peft draws a first start, which is not kept, from the global generator.
        with torch.random.fork_rng(devices=[]):
            for target in sorted(targets, key=lambda each: each.key):
                form = form_of(target)
                if form is None:
                    continue
                adapter = Adapter(target, form, keyed_seed(seed, target.key))
                parent, _, name = target.path.rpartition(".")
                target.root.get_submodule(parent).add_module(name, adapter.layer)
                self.layers[target.key] = adapter
        self._drops = any(adapter.form.drops for adapter in self.layers.values())

    def parameters(self, *, part: Part | None = None, up: bool | None = None) -> list[nn.Parameter]:
        """All trained tensors, or only those of one part.

        ``up`` chooses the up matrices of LoRA, or all but them: LoRA+ gives those a rate of their own.
        """
        return [
            parameter
            for adapter in self.layers.values()
            if part is None or adapter.target.part == part
            for suffix, parameter in adapter.tensors.items()
            if up is None or (suffix == "lora_up.weight") == up
        ]

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Within it the model is the base model itself."""
        for adapter in self.layers.values():
            adapter.layer.enable_adapters(enabled=False)
        try:
            yield
        finally:
            for adapter in self.layers.values():
                adapter.layer.enable_adapters(enabled=True)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The trained tensors by their names in a file, in the order of the keys."""
        for key, adapter in self.layers.items():
            for suffix, parameter in adapter.tensors.items():
                yield f"{key}.{suffix}", parameter

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the tensors that :meth:`named_parameters` names."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(tensors[name])

    @contextmanager
    def dropping(self, seed: int) -> Iterator[None]:
        """Within it the dropouts are at work, the same ones for the same ``seed``; outside, nothing is left out."""
        if not self._drops:
            yield
            return
        torch.manual_seed(seed)
        for adapter in self.layers.values():
            adapter.layer.train()
        try:
            yield
        finally:
            for adapter in self.layers.values():
                adapter.layer.eval()

    def limit_norms(self, most: float) -> None:
        """Max-norm regularisation: see :meth:`Adapter.limit_norm`. 0 leaves all as it is."""
        if most:
            for adapter in self.layers.values():
                adapter.limit_norm(most)

    def delta_norm(self) -> float:
        """Frobenius norm of the whole change of the weights."""
        squares: list[Any] = [adapter.delta().square().sum() for adapter in self.layers.values()]
        return math.sqrt(float(torch.stack(squares).sum())) if squares else 0.0
