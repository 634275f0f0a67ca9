"""Convolutions over small maps on a CPU, as one product of matrices.

oneDNN, which convolves on CPUs, first brings a plain weight into an order of its own, forwards and backwards, in every
step. Over a map of a few dozen pixels that takes several times as long as the sums. A matrix product takes the weight
as it lies (SD 1.5's convolutions at 4x4 and 8x8, a step: 0.65 s → 0.15 s in bf16, 1.25 → 0.7 s in fp32, two cores).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

LARGEST_MAP = 64
"""Pixels of the answer up to which the product is faster."""

_LEAST_WEIGHT = 1 << 23
"""Elements of a weight that are too many to be put in order in passing."""


class SmallMapConv2d(nn.Conv2d):
    """A convolution that chooses by the size of its answer; equal to its base class up to the rounding of sums."""

    padding: tuple[int, int]  # one that pads by name is not taken

    def forward(self, input: Tensor) -> Tensor:
        height, width = (
            (side + 2 * pad - kernel) // stride + 1
            for side, pad, kernel, stride in zip(
                input.shape[-2:], self.padding, self.kernel_size, self.stride, strict=True
            )
        )
        if height * width > LARGEST_MAP:
            return super().forward(input)
        columns = F.unfold(input, self.kernel_size, padding=self.padding, stride=self.stride)
        answer = self.weight.flatten(1) @ columns
        if self.bias is not None:
            answer = answer + self.bias.unsqueeze(-1)
        return answer.view(*answer.shape[:-1], height, width)


def multiply_small_maps(model: nn.Module) -> None:
    """Let the large convolutions of ``model``, whose weights are frozen and on a CPU, choose."""
    for module in model.modules():
        if type(module) is nn.Conv2d and _is_fit(module):
            module.__class__ = SmallMapConv2d


def _is_fit(conv: nn.Conv2d) -> bool:
    plain = conv.groups == 1 and conv.dilation == (1, 1) and conv.padding_mode == "zeros"
    return plain and not isinstance(conv.padding, str) and conv.weight.numel() >= _LEAST_WEIGHT
