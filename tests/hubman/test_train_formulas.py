"""The formulas of a training step, each against NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hubman.train.learning.ema import Ema
from hubman.train.learning.schedules import rate_share
from hubman.train.loss.losses import elementwise, huber_c
from hubman.train.loss.masked_loss import masked
from hubman.train.loss.noise import add_multires, add_offset, perturbed
from hubman.train.loss.noise_schedule import NoiseSchedule
from hubman.train.loss.snr import debiased, min_snr, zero_terminal
from hubman.train.loss.timesteps import draw_shares, resolution_shift, shifted
from hubman.train.settings.learning import Shape
from hubman.train.settings.noise import HuberSchedule, LossKind

SNR = np.array([250.0, 5.0, 1.0, 0.04])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))


@pytest.mark.parametrize("loss", ["l2", "huber", "smooth_l1"])
def test_an_error_counts_as_its_formula_says(loss: LossKind) -> None:
    rng = np.random.default_rng(0)
    prediction, target = rng.normal(size=(2, 3, 4, 5, 6))
    c = np.array([0.1, 0.5, 1.0])
    e, wide = prediction - target, c[:, None, None, None]
    root = np.sqrt(e**2 + wide**2) - wide
    expected = {"l2": e**2, "huber": 2 * wide * root, "smooth_l1": 2 * root}[loss]
    found = elementwise(tensor(prediction), tensor(target), loss, tensor(c))
    assert found.numpy() == pytest.approx(expected, abs=1e-5)


def test_a_robust_loss_forgives_outliers_and_is_the_square_near_zero() -> None:
    small, large = torch.tensor([[0.001]]), torch.tensor([[50.0]])
    zero, c = torch.zeros(1, 1), torch.tensor([1.0])
    assert float(elementwise(small, zero, "huber", c)) == pytest.approx(1e-6, rel=0.2)
    assert float(elementwise(large, zero, "huber", c)) == pytest.approx(2 * (50 - 1), rel=0.01)


@pytest.mark.parametrize("schedule", ["constant", "exponential", "snr"])
def test_the_huber_parameter_follows_its_schedule(schedule: HuberSchedule) -> None:
    progress, c = np.array([0.0, 0.25, 1.0]), 0.1
    ratio = np.array([0.0, 0.5, np.inf])
    expected = {
        "constant": np.full(3, c),
        "exponential": c**progress,
        "snr": (1 - c) / (1 + ratio) ** 2 + c,
    }[schedule]
    found = huber_c(schedule, c, progress=tensor(progress), noise_to_signal=tensor(ratio))
    assert found.numpy() == pytest.approx(expected, rel=1e-5)


def test_timesteps_weigh_by_their_signal_to_noise_ratio() -> None:
    snr, five = tensor(SNR), np.minimum(SNR, 5)
    assert min_snr(snr, 5, v_prediction=False).numpy() == pytest.approx(five / SNR)
    assert min_snr(snr, 5, v_prediction=True).numpy() == pytest.approx(five / (SNR + 1))
    assert debiased(snr, v_prediction=True).numpy() == pytest.approx(1 / (SNR + 1))
    assert debiased(snr, v_prediction=False).numpy() == pytest.approx(1 / np.sqrt(SNR))
    assert float(debiased(torch.tensor([1e6]), v_prediction=False)) == pytest.approx(1 / math.sqrt(1000))
    assert min_snr(torch.zeros(1), 5, v_prediction=False).tolist() == [1]


def test_a_zero_terminal_schedule_ends_in_noise_and_starts_where_it_started() -> None:
    alphas = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    root = np.sqrt(alphas)
    expected = (root - root[-1]) * root[0] / (root[0] - root[-1])
    found = zero_terminal(torch.from_numpy(alphas))
    assert found.sqrt().numpy() == pytest.approx(expected, abs=1e-12)
    assert float(found[-1]) == 0
    assert float(found[0]) == pytest.approx(alphas[0])
    assert zero_terminal(found).numpy() == pytest.approx(found.numpy(), abs=1e-12)


class _OnDevice(Tensor):
    """A tensor as on a device without double precision."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.cpu:
            return args[0].as_subclass(Tensor)
        if func is Tensor.double:
            raise TypeError("no double precision here")
        return super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]


def test_schedules_are_computed_where_there_is_double_precision() -> None:
    signal = torch.linspace(0.999, 0.07, 50)
    schedule = NoiseSchedule(signal, (1 - signal**2).sqrt(), v_prediction=True)
    there = NoiseSchedule(signal.as_subclass(_OnDevice), schedule.sigma, v_prediction=True)
    with pytest.raises(TypeError):
        there.signal.double()
    assert torch.equal(there.with_zero_terminal_snr().signal, schedule.with_zero_terminal_snr().signal)


def test_offset_noise_moves_whole_channels_by_offset_and_mean() -> None:
    latents = torch.randn(2, 4, 6, 5, generator=seeded(1)) + torch.tensor([0.0, 1, -2, 3]).view(1, 4, 1, 1)
    noise = torch.randn(2, 4, 6, 5, generator=seeded(2))
    moved = (add_offset(noise, latents, 0.1, seeded(3), adaptive=0.5) - noise).numpy()
    draw = torch.randn(2, 4, 1, 1, generator=seeded(3)).numpy()
    strength = 0.1 + 0.5 * np.abs(latents.numpy().mean(axis=(2, 3), keepdims=True))
    assert moved == pytest.approx(np.broadcast_to(strength * draw, moved.shape), abs=1e-5)


def test_multires_noise_has_unit_variance_and_coarse_structure() -> None:
    noise = torch.randn(8, 4, 32, 48, generator=seeded(0))
    coarse = add_multires(noise, 6, 0.8, seeded(1))
    assert coarse.shape == noise.shape
    assert float(coarse.std()) == pytest.approx(1)

    def neighbours(values: torch.Tensor) -> float:
        return float((values[..., 1:] * values[..., :-1]).mean())

    assert abs(neighbours(noise)) < 0.02
    assert neighbours(coarse) > 0.2
    assert torch.equal(add_multires(noise, 6, 0.8, seeded(1)), coarse)
    assert torch.isfinite(add_multires(torch.randn(1, 4, 2, 3), 20, 0.3, seeded(1))).all()


def test_one_round_of_multires_noise_is_the_sum_over_its_deviation() -> None:
    noise = torch.randn(1, 2, 8, 8, generator=seeded(0))
    generator = seeded(1)
    torch.rand((), generator=generator)
    total = (noise + torch.randn(1, 2, 8, 8, generator=generator)).numpy()
    assert add_multires(noise, 1, 0.3, seeded(1)).numpy() == pytest.approx(total / total.std(ddof=1), abs=1e-5)


def test_a_perturbed_input_has_more_noise() -> None:
    noise = torch.randn(1, 4, 8, 8, generator=seeded(0))
    extra = torch.randn(1, 4, 8, 8, generator=seeded(1)).numpy()
    assert perturbed(noise, 0.1, seeded(1)).numpy() == pytest.approx(noise.numpy() + 0.1 * extra, abs=1e-6)


@given(st.floats(0, 1), st.floats(1, 10))
def test_a_shift_moves_shares_towards_noise_and_keeps_the_ends(share: float, shift: float) -> None:
    found = float(shifted(torch.tensor(share, dtype=torch.float64), shift))
    assert found == pytest.approx(shift * share / (1 + (shift - 1) * share))
    assert share - 1e-9 <= found <= 1
    assert float(shifted(torch.tensor(0.0), shift)) == 0
    assert float(shifted(torch.tensor(1.0), shift)) == pytest.approx(1)


def test_the_resolution_shift_goes_through_its_two_points() -> None:
    assert math.log(resolution_shift(32, 32)) == pytest.approx(0.5)
    assert math.log(resolution_shift(128, 128)) == pytest.approx(1.15)
    assert math.log(resolution_shift(64, 136)) == pytest.approx(0.825)


def test_shares_are_drawn_as_asked() -> None:
    uniform = draw_shares(4000, seeded(), low=0.2, high=0.6)
    assert 0.2 <= float(uniform.min()) < 0.21
    assert 0.59 < float(uniform.max()) <= 0.6
    assert float(uniform.mean()) == pytest.approx(0.4, abs=0.01)
    normal = torch.randn(50, generator=seeded()).numpy()
    expected = 1 / (1 + np.exp(-(0.5 + 2 * normal)))
    expected = 3 * expected / (1 + 2 * expected)
    found = draw_shares(50, seeded(), sampling="logit_normal", mean=0.5, spread=2, shift=3)
    assert found.numpy() == pytest.approx(expected, abs=1e-5)


def test_a_mask_weighs_by_its_area_and_never_below_its_floor() -> None:
    mask = np.zeros((16, 16), np.float32)
    mask[:8, :12] = 1
    errors = torch.ones(1, 4, 2, 4)
    found = masked(errors, [tensor(mask)], floor=0.1).numpy()
    expected = np.array([[1, 1, 1, 0.1], [0.1, 0.1, 0.1, 0.1]])
    assert found == pytest.approx(np.broadcast_to(expected, found.shape))
    half = masked(errors, [tensor(np.tile(mask[:, :2], (1, 8))[:, ::-1].copy() * 0.5)], floor=0.0)
    assert half[0, 0, 0].numpy() == pytest.approx([0.5] * 4)
    assert torch.equal(masked(errors, [None], floor=0.1), errors)


def test_the_mean_of_the_weights_is_their_exponential_average() -> None:
    weights = [torch.full((3,), 1.0), torch.full((2, 2), 2.0)]
    ema = Ema(weights, 0.9)
    mean = 1.0
    for step in range(30):
        weights[0].add_(1)
        ema.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * (2.0 + step)
    with ema.applied():
        assert weights[0].numpy() == pytest.approx(mean, rel=1e-5)
        assert weights[1].numpy() == pytest.approx(2)
    assert weights[0].tolist() == [31] * 3
    again = Ema(weights, 0.9)
    again.load_state_dict(ema.state_dict())
    with again.applied(), ema.applied():
        assert weights[0].numpy() == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "shares"),
    [
        ("constant", (1, 1, 1)),
        ("linear", (1, 0.75, 0.5)),
        ("cosine", (1, (1 + math.cos(math.pi / 4)) / 2, 0.5)),
        ("cosine_restarts", (1, 0.5, 1)),
        ("polynomial", (1, 0.75**3, 0.5**3)),
    ],
)
def test_the_rate_rises_and_falls_in_its_shape(shape: Shape, shares: tuple[float, ...]) -> None:
    def rate(step: int, floor: float = 0.0) -> float:
        return rate_share(step, 110, shape, warmup=10, restarts=2, power=3, floor=floor)

    assert [rate(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1])
    assert [rate(step) for step in (10, 35, 60)] == pytest.approx(shares)
    assert [rate(step, floor=0.2) for step in (10, 35, 60)] == pytest.approx([0.2 + 0.8 * share for share in shares])
    assert all(0 <= rate(step) <= 1 for step in range(110))
