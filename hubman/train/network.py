"""The LoRA itself: small trainable factors around frozen layers.

Own modules instead of PEFT's: the addition and the scale are one fused kernel, which makes a training step of a small
UNet 10 to 20 % faster, and each module keeps the key under which the file will store it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
    def layer(self) -> nn.Linear | nn.Conv2d:
        layer = self.root.get_submodule(self.path)
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            raise TypeError(f"{self.path} is a {type(layer).__name__}")
        return layer

    @property
    def wide(self) -> bool:
        """A convolution larger than 1x1, which has a rank of its own."""
        layer = self.layer
        return isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1)


class LoraLayer(nn.Module):
    """``base(x) + alpha / rank * up(down(x))``; down starts Kaiming-uniform (a = √5), up zero: nothing changes."""

    def __init__(self, base: nn.Linear | nn.Conv2d, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base
        self.alpha = alpha
        self.active = True
        self.scale = alpha / rank
        out, *rest = base.weight.shape
        device = base.weight.device
        ones = [1] * (len(rest) - 1)
        bound = 1 / math.sqrt(math.prod(rest))  # Kaiming-uniform with a = √5
        start = torch.empty(rank, *rest).uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(start.to(device))
        self.up = nn.Parameter(torch.zeros(out, rank, *ones, device=device))

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def delta(self) -> Tensor:
        """The change of the base weight at strength 1, fp32, of its shape."""
        flat = self.up.detach().flatten(1) @ self.down.detach().flatten(1)
        return (flat * self.scale).view(self.base.weight.shape)

    def forward(self, x: Tensor, *_args: object) -> Tensor:
        frozen: Tensor = self.base(x)
        if not self.active:
            return frozen
        if isinstance(self.base, nn.Linear):
            low = F.linear(x, self.down).flatten(0, -2)
            return torch.addmm(frozen.flatten(0, -2), low, self.up.t(), alpha=self.scale).view_as(frozen)
        conv = self.base
        low = F.conv2d(x, self.down, None, conv.stride, conv.padding, conv.dilation)
        return torch.add(frozen, F.conv2d(low, self.up), alpha=self.scale)


class Network:
    """Every LoRA layer of a training, by file key, in place in the model."""

    def __init__(
        self, targets: Sequence[Target], *, rank: int, alpha: float, conv_rank: int, conv_alpha: float, seed: int
    ) -> None:
        """Wrap every target; wide convolutions only where ``conv_rank`` is above 0. The same seed starts the same."""
        self.layers: dict[str, LoraLayer] = {}
        self._text: set[str] = set()
        generator = torch.Generator().manual_seed(seed)
        for target in sorted(targets, key=lambda each: each.key):
            own_rank, own_alpha = (conv_rank, conv_alpha) if target.wide else (rank, alpha)
            if own_rank == 0:
                continue
            layer = LoraLayer(target.layer, own_rank, own_alpha, generator)
            parent, _, name = target.path.rpartition(".")
            target.root.get_submodule(parent).add_module(name, layer)
            self.layers[target.key] = layer
            if target.text:
                self._text.add(target.key)

    def parameters(self, *, text: bool | None = None, up: bool | None = None) -> list[nn.Parameter]:
        """All trained tensors, or only those inside (True) or outside (False) the text encoders.

        ``up`` chooses the up matrices, or all but them.
        """
        chosen = [layer for key, layer in self.layers.items() if text is None or (key in self._text) == text]
        sides = {None: ("down", "up"), True: ("up",), False: ("down",)}[up]
        return [getattr(layer, side) for layer in chosen for side in sides]

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Within it the model is the base model itself."""
        for layer in self.layers.values():
            layer.active = False
        try:
            yield
        finally:
            for layer in self.layers.values():
                layer.active = True

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """``KEY.down`` and ``KEY.up`` with their tensors, in the order of the keys."""
        for key, layer in self.layers.items():
            yield f"{key}.down", layer.down
            yield f"{key}.up", layer.up

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over the tensors that :meth:`named_parameters` names."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(tensors[name])

    def delta_norm(self) -> float:
        """Frobenius norm of the whole change of the weights."""
        return math.sqrt(sum(float(layer.delta().square().sum()) for layer in self.layers.values()))
