"""The objective against a plain loop that is written out here: the same losses, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hubman.train.adapters.network import Network
from hubman.train.adapters.network_plan import make_network
from hubman.train.encoding.encoded import Encoded
from hubman.train.encoding.material import Item, TextStates
from hubman.train.learning.batches import keyed_seed
from hubman.train.learning.rates import optimizer_for, rate_at
from hubman.train.loss.flow import FlowMatching
from hubman.train.loss.noise_schedule import NoiseSchedule
from hubman.train.loss.objective import Objective
from hubman.train.loss.process import Prediction, Process
from hubman.train.loss.sending import sent
from hubman.train.recipe import Recipe
from hubman.train.recipe_fields import changed
from registry.errors import UsageError
from tests.support.small_unet import FRAMING, SmallUnet, caption_states, random_items

STEPS = 30
ALPHAS = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, dim=0)
_NO_VELOCITY: tuple[Prediction, ...] = ("epsilon", "flow")
RECIPE = changed(
    Recipe(base="b", dataset="d", output="o", seed=3),
    {
        "length.steps": STEPS,
        "length.batch": 2,
        "loss.min_snr_gamma": 0.0,
        "captions.dropout": 0.0,
        "captions.wildcards": False,
        "optimizer.unet_lr": 1e-2,
        "network.rank": 4,
    },
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def process_of(prediction: Prediction) -> Process:
    if prediction == "flow":
        return FlowMatching()
    return NoiseSchedule.of(ALPHAS, v_prediction=prediction == "v", device=torch.device("cpu"))


class Training:
    """The objective with a network of its own, and what a loop does with it."""

    def __init__(self, prediction: Prediction, cache: Path, **changes: Any) -> None:
        self.recipe = changed(RECIPE, {name.replace("__", "."): value for name, value in changes.items()})
        self.small = SmallUnet(process_of(prediction))
        self.network = adapted(self.small)
        texts = TextStates(Encoded(self.small, cache, "fp32"), 1, self.small.device)
        self.objective = Objective(self.small, self.network, self.recipe, texts)
        self.optimizer = optimizer_for(self.network, self.recipe, self.small.device)

    def losses(self, items: list[Item], steps: int = STEPS) -> list[float]:
        return descend(
            lambda step: self.objective.loss(batch_of(items, step), step, pass_=0),
            self.optimizer,
            lambda step: 1e-2 * rate_at(step, self.recipe),
            steps,
        )


def adapted(small: SmallUnet) -> Network:
    targets = small.targets(conv=False, text=False)
    return make_network(targets, RECIPE)


def batch_of(items: list[Item], step: int) -> list[Item]:
    return [items[(2 * step + i) % len(items)] for i in range(2)]


def descend(
    loss_at: Callable[[int], Tensor], optimizer: torch.optim.Optimizer, rate: Callable[[int], float], steps: int
) -> list[float]:
    losses = []
    for step in range(steps):
        loss = loss_at(step)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    return losses


def plain_loss(prediction: Prediction, kind: str, small: SmallUnet, items: list[Item], step: int) -> Tensor:
    """One step of a trainer that knows nothing of ours but the order of the draws."""
    generator = torch.Generator().manual_seed(keyed_seed(3, "step", step))
    mean, deviation = (torch.stack([getattr(item.latent, name) for item in items]) for name in ("mean", "std"))
    x = mean + deviation * torch.randn(mean.shape, generator=generator)
    noise = torch.randn(x.shape, generator=generator)
    share = torch.rand(len(items), generator=generator)
    if prediction == "flow":
        t = share
        signal, sigma, progress = 1 - t, t, t
    else:
        t = (share.double() * 1000).long()
        signal, sigma, progress = ALPHAS[t].sqrt().float(), (1 - ALPHAS[t]).sqrt().float(), t / 1000
    a, s = signal[:, None, None, None], sigma[:, None, None, None]
    target = {"epsilon": noise, "v": a * noise - s * x, "flow": noise - x}[prediction]
    states = torch.stack([caption_states(item.caption) for item in items])
    answer = small.denoiser(a * x + s * noise, t, states).sample
    e = answer - target
    if kind == "l2":
        l2: Tensor = (e**2).mean()
        return l2
    c = torch.exp(-progress * -math.log(0.1)) if kind == "smooth_l1" else 0.9 / (1 + sigma / signal) ** 2 + 0.1
    c = c[:, None, None, None]
    robust = 2 * ((e**2 + c**2).sqrt() - c)
    loss: Tensor = ((c if kind == "huber" else 1) * robust).mean()
    return loss


@pytest.mark.parametrize("kind", ["l2", "huber", "smooth_l1"])
@pytest.mark.parametrize("prediction", ["epsilon", "v", "flow"])
def test_the_losses_are_those_of_a_plain_loop(prediction: Prediction, kind: str, tmp_path: Path) -> None:
    items = random_items(6)
    schedule = "exponential" if kind == "smooth_l1" else "snr"
    training = Training(prediction, tmp_path, loss__kind=kind, loss__huber_schedule=schedule)
    found = training.losses(items)

    small = SmallUnet(process_of(prediction))
    network = adapted(small)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0.01)
    warm = round(0.05 * STEPS)

    def rate(step: int) -> float:
        if step < warm:
            return 1e-2 * (step + 1) / warm
        return 1e-2 * 0.5 * (1 + math.cos(math.pi * (step - warm) / (STEPS - warm)))

    expected = descend(
        lambda step: plain_loss(prediction, kind, small, batch_of(items, step), step), optimizer, rate, STEPS
    )
    assert found == pytest.approx(expected, abs=1e-5)
    assert len(set(found)) == STEPS


@pytest.mark.parametrize(("prediction", "name"), [("epsilon", "min_snr"), ("v", "min_snr"), ("epsilon", "debiased")])
def test_samples_are_weighed_by_their_timesteps(prediction: Prediction, name: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"loss__min_snr_gamma": 5.0} if name == "min_snr" else {"loss__debiased": True}
    training = Training(prediction, tmp_path, **changes)
    items = batch_of(random_items(4), 0)
    generator = torch.Generator().manual_seed(keyed_seed(3, "step", 0))
    torch.randn(2, *items[0].latent.mean.shape, generator=generator)
    torch.randn(2, *items[0].latent.mean.shape, generator=generator)
    t = (torch.rand(2, generator=generator).double() * 1000).long()
    snr = (ALPHAS / (1 - ALPHAS))[t].float()
    weights = snr.clamp(max=5) / (snr + (prediction == "v")) if name == "min_snr" else snr.clamp(max=1000) ** -0.5
    each = [plain_each(prediction, training.small, items, i) for i in range(2)]
    expected = (torch.stack(each) * weights).mean()
    assert training.objective.loss(items, 0, 0).item() == pytest.approx(expected.item(), rel=1e-5)


def plain_each(prediction: Prediction, small: SmallUnet, items: list[Item], which: int) -> Tensor:
    """The unweighted error of one sample of the first batch."""
    generator = torch.Generator().manual_seed(keyed_seed(3, "step", 0))
    mean, deviation = (torch.stack([getattr(item.latent, name) for item in items]) for name in ("mean", "std"))
    x = mean + deviation * torch.randn(mean.shape, generator=generator)
    noise = torch.randn(x.shape, generator=generator)
    t = (torch.rand(2, generator=generator).double() * 1000).long()
    a, s = (ALPHAS[t].sqrt().float()[:, None, None, None], (1 - ALPHAS[t]).sqrt().float()[:, None, None, None])
    target = noise if prediction == "epsilon" else a * noise - s * x
    states = torch.stack([caption_states(item.caption) for item in items])
    error: Tensor = (small.denoiser(a * x + s * noise, t, states).sample - target).square()
    return error[which].mean()


class _HostTensor(Tensor):
    """Writes down how it is sent to a card, where there is none."""

    asked: list[tuple[str, Any]] = []  # noqa: RUF012

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.pin_memory, Tensor.to):
            cls.asked.append((func.__name__, (kwargs or {}).get("non_blocking", False)))
            return args[0]
        return super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]


def test_what_is_sent_to_a_card_is_not_waited_for() -> None:
    _HostTensor.asked.clear()
    sent(torch.ones(3).as_subclass(_HostTensor), torch.device("cuda"))
    assert _HostTensor.asked == [("pin_memory", False), ("to", True)]
    assert sent(torch.ones(3), torch.device("meta")).device.type == "meta"


def test_a_masked_loss_hardly_sees_what_lies_outside(tmp_path: Path) -> None:
    items = random_items(2, masks=True)
    plain, masked = (Training("epsilon", tmp_path, loss__masked=on, images__masks="alpha") for on in (False, True))
    whole, part = (training.objective.loss(items, 0, 0).item() for training in (plain, masked))
    assert 0.3 * whole < part < 0.8 * whole
    free = Training("epsilon", tmp_path, loss__masked=True, images__masks="alpha", loss__mask_floor=1.0)
    assert free.objective.loss(items, 0, 0).item() == pytest.approx(whole)


def test_prior_preservation_asks_the_base_model_itself(tmp_path: Path) -> None:
    items = random_items(2)
    kept = Training("epsilon", tmp_path, prior__weight=0.5, prior__caption="woman")
    plain = Training("epsilon", tmp_path)
    loss, own = (training.objective.loss(items, 0, 0).item() for training in (kept, plain))
    assert loss == own  # a fresh network answers as the base model does

    for training in (kept, plain):
        disturb(training.network)
        training.small.asked.clear()
    loss, own = (training.objective.loss(items, 0, 0).item() for training in (kept, plain))
    (_, texts, _), (noisy, base_texts, base), (again, moved_texts, moved) = kept.small.asked
    assert noisy is again
    assert torch.equal(texts["states"][0], caption_states(items[0].caption))
    for asked in (base_texts, moved_texts):
        assert torch.equal(asked["states"], caption_states("woman").expand(2, -1, -1))
    assert loss - own == pytest.approx(0.5 * float((moved - base).detach().square().mean()), rel=1e-3)
    assert not base.requires_grad
    assert moved.requires_grad


@pytest.mark.parametrize(
    "kind",
    [{"type": "lora"}, {"type": "dora"}, {"type": "dora", "dora_axis": "output"}, {"type": "loha"}, {"type": "lokr"}],
)
def test_without_its_adapters_every_network_is_the_base_model(kind: dict[str, Any]) -> None:
    clean, small = SmallUnet(FlowMatching()), SmallUnet(FlowMatching())
    recipe = changed(RECIPE, {f"network.{name}": value for name, value in kind.items()})
    network = make_network(small.targets(conv=False, text=False), recipe)
    disturb(network)
    question = (torch.randn(2, 4, 4, 4), torch.tensor([0.1, 0.9]))
    texts = {"states": caption_states("woman").expand(2, -1, -1)}
    expected = clean.predict(*question, texts, [FRAMING] * 2)
    with network.disabled(), torch.no_grad():
        assert torch.equal(small.predict(*question, texts, [FRAMING] * 2), expected)
    moved = small.predict(*question, texts, [FRAMING] * 2)
    assert not torch.equal(moved, expected)
    moved.square().mean().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in network.parameters())


def disturb(network: Network) -> None:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize(
    "changes",
    [
        {"noise__offset": 0.1},
        {"noise__adaptive": 0.5},
        {"noise__multires_iterations": 6},
        {"noise__perturbation": 0.1},
        {"timesteps__low": 0.5},
        {"timesteps__sampling": "logit_normal"},
        {"timesteps__sampling": "logit_normal", "timesteps__shift": 0.0},
        {"captions__dropout": 1.0},
    ],
)
def test_every_setting_is_followed_and_depends_on_seed_and_batch_alone(changes: dict[str, Any], tmp_path: Path) -> None:
    items = random_items(4)
    loss = Training("flow", tmp_path, **changes).objective.loss(items, 5, 0).item()
    assert loss != Training("flow", tmp_path).objective.loss(items, 5, 0).item()
    again = Training("flow", tmp_path, **changes).objective
    assert again.loss(items, 4, 0).item() != loss
    assert again.loss(items, 5, 0).item() == loss


def test_zero_terminal_snr_is_trained_and_refused_where_there_is_no_velocity(tmp_path: Path) -> None:
    items = random_items(2)
    ended = Training("v", tmp_path, noise__zero_terminal_snr=True, timesteps__low=0.9999)
    ended.objective.loss(items, 0, 0)
    generator = torch.Generator().manual_seed(keyed_seed(3, "step", 0))
    torch.randn(2, 4, 4, 4, generator=generator)
    assert torch.equal(ended.small.asked[0][0], torch.randn(2, 4, 4, 4, generator=generator))
    for prediction in _NO_VELOCITY:
        with pytest.raises(UsageError, match="v-prediction"):
            Training(prediction, tmp_path, noise__zero_terminal_snr=True)


def test_validation_does_not_depend_on_what_is_drawn_in_training(tmp_path: Path) -> None:
    items = random_items(4)
    plain = Training("epsilon", tmp_path)
    loud = Training("epsilon", tmp_path, noise__offset=0.5, captions__dropout=1.0, loss__kind="huber")
    assert plain.objective.validate(items) == loud.objective.validate(items[::-1])


def test_the_up_matrices_learn_faster_with_lora_plus(tmp_path: Path) -> None:
    training = Training("epsilon", tmp_path, optimizer__lora_plus=16.0)
    rates = {group["name"]: group["base_lr"] for group in training.optimizer.param_groups}
    assert rates == {"model": 1e-2, "model up": pytest.approx(0.16)}
    ups = {id(parameter) for parameter in training.network.parameters(up=True)}
    assert {id(each) for each in training.optimizer.param_groups[1]["params"]} == ups
    assert len(ups) == len(training.network.parameters()) / 2
