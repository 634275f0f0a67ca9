"""What a training takes and what it gives up for memory: forecast, ladder, weights that are held smaller."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from hubman.progress import Progress
from hubman.train import architectures
from hubman.train.adapters.forms import Form
from hubman.train.adapters.network import Network, Target
from hubman.train.architectures.model import Model
from hubman.train.capacity import ladder
from hubman.train.capacity.compiling import pays
from hubman.train.capacity.forecast import Forecast, Workload, corrected, moved, need, step_seconds
from hubman.train.capacity.held_weights import hold
from hubman.train.capacity.ladder import Rung
from hubman.train.capacity.memory import Memory, give_back
from hubman.train.data.dataset import read_dataset
from hubman.train.metrics import Metrics
from hubman.train.outcome import Outcome
from hubman.train.recipe import Recipe
from hubman.train.reporting import Reporting
from hubman.train.run_folder import RunFolder
from hubman.train.training import Training
from registry.errors import HubError
from tests.support.training import short_recipe, with_fields

TOO_MUCH = 1 << 46
"""Bytes that no machine has."""

CPU = torch.device("cpu")
SAVES_NOTHING = Rung()
SD15 = Workload(family="sd15", parameters=859_520_964, trained=1_594_368, pixels=256 * 256, batch=1)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    torch.set_num_threads(1)
    return short_recipe(tmp_path_factory.mktemp("short"))


def training_of(
    recipe: Recipe, folder: Path, events: list[Progress] | None = None, *, resume: bool = False
) -> Training:
    report = (lambda _: None) if events is None else events.append
    data = read_dataset(Path(recipe.dataset))
    return Training(recipe, data, folder / "checkpoints", folder / "cache", report, resume=resume)


@pytest.mark.parametrize(("weight_bytes", "measured"), [(4, 4.7e9), (2, 2.65e9)])
def test_the_forecast_of_sd15_is_near_to_what_was_measured(weight_bytes: int, measured: float) -> None:
    work = msgspec.structs.replace(SD15, weight_bytes=weight_bytes)
    assert need(work, Rung()).total == pytest.approx(measured, rel=0.1)


@given(
    st.sampled_from(["sd15", "sdxl", "flux", "sd35", "unheard of"]),
    st.integers(1, 64),
    st.sampled_from([2, 4]),
    st.sampled_from([256, 512, 1024]),
    st.booleans(),
)
def test_each_rung_needs_less_than_the_one_above(
    family: str, batch: int, weight_bytes: int, side: int, host: bool
) -> None:
    work = Workload(
        family=family, parameters=10**9, trained=10**6, pixels=side**2, batch=batch, weight_bytes=weight_bytes
    )
    found = ladder.rungs(batch, host=host)
    totals = [need(work, rung).total for rung in found]
    # What is offloaded already takes no memory to make smaller.
    assert all(low < high or one.offload for high, low, one in zip(totals, totals[1:], found, strict=False))
    assert found[0] == Rung()
    assert any(rung.offload for rung in found) != host
    chosen = ladder.choose(found, lambda rung: need(work, rung).total, totals[-1] * 2)
    assert totals[chosen] <= 2 * totals[-1]
    assert ladder.choose(found, lambda rung: need(work, rung).total, 0) == len(found) - 1


def test_text_encoders_that_stay_need_memory_on_every_rung() -> None:
    more = msgspec.structs.replace(SD15, reading=10**8)
    for rung in (Rung(), Rung(offload=True, int8=True)):
        assert need(more, rung).total == need(SD15, rung).total + 4 * 10**8


def test_what_the_recipe_says_holds_on_every_rung() -> None:
    never = ladder.rungs(4, checkpointing="off", offload="off", quantize="off", host=False)
    assert never == (Rung(), Rung(split=2), Rung(split=4))
    always = ladder.rungs(1, checkpointing="on", offload="on", quantize="int8", host=False)
    assert always == (Rung(checkpointing=True, offload=True, int8=True),)
    assert not any(rung.offload for rung in ladder.rungs(1, offload="on", host=True))


def test_more_memory_than_forecast_and_a_slower_step_are_taken_over() -> None:
    before = Forecast(
        rung=Rung(), need=need(SD15, Rung()), free=8 << 30, step_seconds=1.0, steps=100, effective_batch=1
    )
    after = corrected(before, step_seconds=2.5, peak=before.need.total + 10**9)
    assert after.need.total == before.need.total + 10**9
    assert after.seconds == 250
    assert "measured" in after.sentence()
    assert corrected(before, step_seconds=1, peak=1000).need.total == 1000


def test_computing_twice_costs_half_again() -> None:
    plain, twice = (step_seconds(SD15, rung, 1e11) for rung in (Rung(), Rung(checkpointing=True)))
    assert twice == pytest.approx(1.5 * plain)
    assert plain == pytest.approx(3.6, rel=0.7)  # seconds on two cores that do 1e11 operations


def test_an_allocator_that_fails_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as failed:
        torch.empty(TOO_MUCH)
    assert ladder.is_out_of_memory(failed.value)
    assert ladder.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert ladder.is_out_of_memory(MemoryError())
    assert not ladder.is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_blocks_are_compiled_where_a_long_run_on_a_card_pays_for_it() -> None:
    def forecast(steps: int, rung: Rung = SAVES_NOTHING) -> Forecast:
        return Forecast(
            rung=rung, need=need(SD15, rung), free=8 << 30, step_seconds=1.0, steps=steps, effective_batch=1
        )

    assert pays("auto", "cuda", forecast(5000))
    assert not pays("auto", "cuda", forecast(200))
    assert not pays("auto", "cpu", forecast(5000))
    assert not pays("auto", "cuda", forecast(5000, Rung(int8=True)))
    assert pays("on", "cpu", forecast(1))
    assert not pays("off", "cuda", forecast(5000))


def fail_unless(training: Training, fits: Any) -> None:
    """Let the allocator fail in the model, as it would where memory is short, until ``fits`` says so."""

    def allocate(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not fits(training.rung, inputs[0].shape[0]):
            torch.empty(TOO_MUCH)

    training.architecture.denoiser.register_forward_pre_hook(allocate)


def test_where_memory_runs_out_the_step_is_done_again_one_rung_lower(recipe: Recipe, tmp_path: Path) -> None:
    events: list[Progress] = []
    training = training_of(recipe, tmp_path, events)
    fail_unless(training, lambda rung, batch: rung.checkpointing and batch <= 2)
    before = [each.detach().clone() for each in training.network.parameters()]
    loss = training.step(0)
    assert bool(torch.isfinite(loss))
    assert training.rung == training.forecast.rung == Rung(checkpointing=True, split=2)
    told = [event.message for event in events if "memory ran out at step 1" in event.message]
    assert [message.partition("with ")[2] for message in told] == [
        "gradient checkpointing",
        "gradient checkpointing, batch in 2 parts",
    ]
    assert any(not torch.equal(one, now) for one, now in zip(before, training.network.parameters(), strict=True))
    training.save(1)
    resumed = training_of(recipe, tmp_path, resume=True)
    assert resumed.done == 1
    assert resumed.rung == resumed.forecast.rung == training.rung
    elsewhere = training_of(with_fields(recipe, machine__checkpointing="off"), tmp_path, events, resume=True)
    assert elsewhere.rung == Rung()
    assert "not to be had here: it goes on with nothing saved" in events[-2].message
    fail_unless(training, lambda _rung, _batch: False)
    with pytest.raises(HubError, match=r"memory does not suffice.*8 bits"):
        training.step(1)


def test_an_optimizer_that_has_no_room_for_its_state_steps_one_rung_lower(recipe: Recipe, tmp_path: Path) -> None:
    training = training_of(recipe, tmp_path)

    def allocate(optimizer: torch.optim.Optimizer, *_rest: Any) -> None:
        if not training.rung.checkpointing:
            optimizer.state[optimizer.param_groups[0]["params"][0]]["step"] = torch.zeros(())  # half of a state
            torch.empty(TOO_MUCH)

    hook = register_optimizer_step_pre_hook(allocate)
    try:
        training.step(0)
    finally:
        hook.remove()
    assert training.rung == Rung(checkpointing=True)
    states = training.learner.parts()["optimizer"]["state"].values()
    assert len(states) == len(training.network.parameters())
    assert all(float(state["step"]) == 1 and "exp_avg" in state for state in states)


def test_samples_and_validation_that_do_not_fit_end_no_run(recipe: Recipe, tmp_path: Path) -> None:
    watched = with_fields(recipe, watch__samples=1, watch__sample_steps=1, watch__validation_images=1)
    events: list[Progress] = []
    training = training_of(watched, tmp_path, events)
    assert isinstance(training.architecture, Model)
    training.architecture.vae.decoder.register_forward_pre_hook(lambda *_: torch.empty(TOO_MUCH))
    outcome = Outcome(training, RunFolder(tmp_path, watched), events.append)
    metrics = Metrics(tmp_path / "metrics.jsonl", keep_steps=0)
    reporting = Reporting(watched, metrics, training.clock, training.memory, training.forecast, events.append)
    # Four timesteps are asked about at once; drawing asks twice, for the prompt and against it.
    fail_unless(training, lambda rung, batch: rung.checkpointing or batch < 4)
    outcome.look_back(0, 0, reporting)
    messages = [event.message for event in events if "memory ran out" in event.message]
    assert messages == [
        "memory ran out while the samples of epoch 0 were drawn: it goes on without them",
        "memory ran out at step 1: it goes on with gradient checkpointing",
    ]
    assert len(training.validation) == 1


def test_computing_twice_gives_the_same_gradients(recipe: Recipe, tmp_path: Path) -> None:
    grads = []
    for checkpointing in ("off", "on"):
        training = training_of(with_fields(recipe, machine__checkpointing=checkpointing), tmp_path)
        training.learner.gradients(0)
        grads.append([each.grad for each in training.network.parameters()])
    assert all(torch.allclose(one, other, atol=1e-7) for one, other in zip(*grads, strict=True))


@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize("int8", [False, True])
def test_held_weights_answer_and_pass_gradients_on(kind: str, int8: bool) -> None:
    layer = nn.Linear(300, 400) if kind == "linear" else nn.Conv2d(96, 96, 3, stride=2, padding=1)
    layer.requires_grad_(requires_grad=False)
    weight: Tensor = layer.weight.clone()
    shape = (2, 5, 300) if isinstance(layer, nn.Linear) else (2, 96, 9, 9)
    start = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x, again_x = (start.clone().requires_grad_() for _ in range(2))
    plain = layer(x)
    plain.square().sum().backward()
    model = nn.Sequential(layer)
    taken = hold(model, CPU, int8=int8, offload=True)
    assert torch.allclose(layer.weight, weight, atol=0.01 if int8 else 0)
    assert taken == pytest.approx(weight.numel() * (1 if int8 else 4), rel=0.02)
    again = model(again_x).add_(0)  # what changes an answer in place may do so here as well
    again.square().sum().backward()
    assert x.grad is not None
    assert again_x.grad is not None
    tolerance = 0.02 if int8 else 1e-6
    assert float((again - plain).detach().norm() / plain.detach().norm()) < tolerance
    assert float((again_x.grad - x.grad).norm() / x.grad.norm()) < tolerance


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    "form",
    [Form("lora", 4, 4), Form("lora", 4, 4, dora="output"), Form("lora", 4, 4, dora="input")],
    ids=lambda form: form.dora,
)
def test_an_adapter_on_a_held_layer_learns_as_on_a_plain_one(form: Form, wide: bool) -> None:
    torch.manual_seed(0)
    base = nn.Conv2d(32, 96, 5, padding=2) if wide else nn.Linear(300, 400)
    models = []
    for held in (False, True):
        model = nn.Sequential(copy.deepcopy(base)).requires_grad_(requires_grad=False)
        network = Network([Target("lora_unet_a", model, "0")], lambda _: form, seed=0)
        if held:
            hold(model, CPU, int8=False, offload=True)
        for parameter in network.parameters():
            parameter.data += 0.01
        x = torch.ones(2, 32, 9, 9) if wide else torch.ones(2, 5, 300)
        model(x).square().mean().backward()
        models.append((network, [each.grad for each in network.parameters()]))
    (plain, wanted), (held_one, found) = models
    for one, other in zip(wanted, found, strict=True):
        assert one is not None
        assert other is not None
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)
    assert held_one.delta_norm() == pytest.approx(plain.delta_norm(), rel=1e-5)


def test_held_weights_stay_out_of_the_graph() -> None:
    layer = nn.Linear(300, 400).requires_grad_(requires_grad=False)
    hold(nn.Sequential(layer), CPU, int8=True, offload=False)
    kept: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        layer(torch.randn(2, 300, requires_grad=True))
    assert not [count for count in kept if count >= 300 * 400]


def test_the_denoiser_waits_in_main_memory_until_it_is_known_what_to_hold(recipe: Recipe) -> None:
    model = architectures.load(recipe, torch.device("meta"))
    assert {each.device for each in model.denoiser.parameters()} == {CPU}
    taken = hold(model.denoiser, model.device, int8=False, offload=True)
    assert taken > 0
    model.place()
    assert {each.device for each in model.denoiser.parameters()} == {model.device}
    held = [layer.held.stored_on for layer in model.denoiser.modules() if hasattr(layer, "held")]
    assert held
    assert set(held) == {CPU}


def test_memory_is_told_in_bytes_of_this_process() -> None:
    memory = Memory(torch.device("cpu"))
    block = torch.ones(16 << 20)
    assert 64 << 20 < memory.used <= memory.peak <= memory.total
    assert memory.used <= memory.free <= memory.total
    assert memory.spilled == 0
    del block
    give_back(CPU)
    memory.forget_peak()
    before = memory.peak
    block = torch.ones(16 << 20)
    del block
    assert before + (60 << 20) < memory.peak < before + (100 << 20)


def test_a_forecast_moves_with_the_rung() -> None:
    first = Forecast(
        rung=Rung(),
        need=need(SD15, Rung()),
        free=8 << 30,
        step_seconds=1.0,
        steps=100,
        effective_batch=1,
        corrected=True,
    )
    lower = Rung(checkpointing=True)
    after = moved(first, SD15, lower)
    assert after.need == need(SD15, lower)
    assert after.step_seconds == pytest.approx(1.5)
    assert not after.corrected
