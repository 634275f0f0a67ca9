"""Convolutions over small maps, which are products of matrices on a CPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hubman.train.architectures.small_maps import LARGEST_MAP, SmallMapConv2d, multiply_small_maps
from hubman.train.capacity.held_weights import hold

LARGE = (960, 1024)
"""Channels of a convolution whose weight is worth it."""


@pytest.mark.parametrize("side", [4, 8, 9, 16])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (3, 2, 0), (1, 1, 0)])
@pytest.mark.parametrize("bias", [True, False])
def test_answers_and_gradients_are_those_of_a_convolution(
    side: int, kernel: int, stride: int, padding: int, *, bias: bool
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 5, kernel, stride, padding, bias=bias).requires_grad_(requires_grad=False)
    ours = SmallMapConv2d(6, 5, kernel, stride, padding, bias=bias).requires_grad_(requires_grad=False)
    ours.load_state_dict(plain.state_dict())
    x = torch.randn(2, 6, side, side)
    one, two = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected, answer = plain(one), ours(two)
    torch.testing.assert_close(answer, expected)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    (answer * weights).sum().backward()
    torch.testing.assert_close(two.grad, one.grad)


def test_only_small_answers_are_products(monkeypatch: pytest.MonkeyPatch) -> None:
    unfold, unfolded = torch.nn.functional.unfold, []

    def seen(x: Tensor, *sizes: int, **more: int) -> Tensor:
        unfolded.append(x.shape[-1])
        return unfold(x, *sizes, **more)

    monkeypatch.setattr("torch.nn.functional.unfold", seen)
    layer, side = SmallMapConv2d(2, 2, 3, padding=1), int(LARGEST_MAP**0.5)
    for each in (side + 1, side):
        layer(torch.zeros(1, 2, each, each))
    assert unfolded == [side]


def test_only_large_plain_convolutions_choose() -> None:
    with torch.device("meta"):
        layers = {
            "large": nn.Conv2d(*LARGE, 3, padding=1),
            "few": nn.Conv2d(8, 8, 3, padding=1),
            "grouped": nn.Conv2d(*LARGE, 9, padding=1, groups=8),
            "dilated": nn.Conv2d(*LARGE, 3, dilation=2),
            "around": nn.Conv2d(*LARGE, 3, padding=1, padding_mode="circular"),
            "named": nn.Conv2d(*LARGE, 3, padding="same"),
        }
    multiply_small_maps(nn.ModuleDict(layers))
    assert [name for name, layer in layers.items() if type(layer) is SmallMapConv2d] == ["large"]


def test_one_that_chooses_is_held_in_8_bits_as_any_other() -> None:
    layer = SmallMapConv2d(64, 128, 3, padding=1).requires_grad_(requires_grad=False)
    assert hold(nn.Sequential(layer), torch.device("cpu"), int8=True, offload=False)
