"""Each network type: what it computes, its gradients, how it starts, what it leaves out, what it can go on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from hubman.train.adapters.forms import Form
from hubman.train.adapters.network import Network, Target
from hubman.train.adapters.network_plan import form_of
from hubman.train.adapters.network_start import start_from
from hubman.train.architectures.fused import fuse
from hubman.train.settings.network import NetworkSettings, RankPattern
from registry.errors import UsageError

Parts = dict[str, Tensor]
KEYS = {
    "linear": "lora_unet_mid_block_linear",
    "wide": "lora_unet_mid_block_wide",
    "point": "lora_unet_mid_block_point",
}

PLAIN = Form("lora", 4, 2.0)
FORMS = {
    "lora": PLAIN,
    "rs-lora": replace(PLAIN, rank_stabilised=True),
    "dora output": replace(PLAIN, dora="output"),
    "dora input": replace(PLAIN, dora="input"),
    "loha": Form("loha", 3, 2.0),
    "loha tucker": Form("loha", 3, 2.0, tucker=True),
    "loha dora": Form("loha", 3, 2.0, dora="input"),
    "lokr": Form("lokr", 2, 3.0),
    "lokr full": Form("lokr", 64, 3.0),
    "lokr both": Form("lokr", 1, 3.0, factor=4, both=True),
    "lokr tucker": Form("lokr", 2, 3.0, factor=2, tucker=True),
    "lokr large factor": Form("lokr", 2, 3.0, factor=16),
}


class _Mid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers = {"linear": nn.Linear(24, 32), "wide": nn.Conv2d(8, 16, 3, 2, 1), "point": nn.Conv2d(8, 16, 1)}
        self.mid_block = nn.ModuleDict(layers)


@pytest.fixture
def model() -> _Mid:
    torch.manual_seed(0)
    return _Mid().requires_grad_(requires_grad=False)


def targets(model: nn.Module) -> list[Target]:
    return [Target(key, model, f"mid_block.{name}", text=name == "point") for name, key in KEYS.items()]


def adapt(model: nn.Module, form: Form, seed: int = 0) -> Network:
    return Network(targets(model), lambda _target: form, seed=seed)


def disturb(network: Network, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in network.named_parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def inputs(name: str) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return (
        torch.randn(2, 5, 24, generator=generator) if name == "linear" else torch.randn(2, 8, 7, 7, generator=generator)
    )


def factor(parts: Parts, name: str) -> Tensor:
    """``name`` in full, whichever way it is stored."""
    if name in parts:
        return parts[name].flatten(1) if parts[name].dim() > 2 else parts[name]
    a, b = parts[f"{name}_a"], parts[f"{name}_b"]
    core = parts.get(name.replace("_w", "_t"))
    return a @ b if core is None else torch.einsum("ijkl,ip,jr->prkl", core, a, b).flatten(1)


def merged(parts: Parts, weight: Tensor, form: Form) -> Tensor:
    """W' by the definitions of the formats."""
    alpha = parts["alpha"]
    if form.kind == "lora":
        delta = parts["lora_up.weight"].flatten(1) @ parts["lora_down.weight"].flatten(1) * alpha / form.rank
    elif form.kind == "loha":
        delta = factor(parts, "hada_w1") * factor(parts, "hada_w2") * alpha / form.rank
    else:
        full = {"lokr_w1", "lokr_w2"} <= parts.keys()
        delta = torch.kron(factor(parts, "lokr_w1"), factor(parts, "lokr_w2").contiguous())
        delta = delta * (1.0 if full else alpha / form.rank)
    whole = weight + delta.reshape(weight.shape)
    if "dora_scale" not in parts:
        return whole
    kept = 0 if form.dora == "output" else 1
    norm = torch.linalg.vector_norm(
        whole.detach(), dim=[axis for axis in range(whole.dim()) if axis != kept], keepdim=True
    )
    changed: Tensor = whole * parts["dora_scale"] / norm
    return changed


@pytest.mark.parametrize("kind", FORMS)
def test_outputs_and_gradients_are_those_of_the_merged_weight(model: _Mid, kind: str) -> None:
    bases: dict[str, Any] = dict(model.mid_block.items())
    network = adapt(model, FORMS[kind])
    disturb(network)
    for name, key in KEYS.items():
        adapter, base, x = network.layers[key], bases[name], inputs(name)
        parts = {suffix: tensor.clone().requires_grad_() for suffix, tensor in adapter.file_tensors().items()}
        weight = merged(parts, base.weight, adapter.form)
        wanted = (
            F.linear(x, weight, base.bias)
            if name == "linear"
            else F.conv2d(x, weight, base.bias, base.stride, base.padding)
        )
        got = adapter.layer(x)
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(adapter.delta(), weight.detach() - base.weight, atol=1e-5, rtol=1e-5)
        probe = torch.randn(got.shape, generator=torch.Generator().manual_seed(3)) / got.numel()
        (got * probe).sum().backward()
        (wanted * probe).sum().backward()
        for suffix, parameter in adapter.tensors.items():
            assert parameter.grad is not None
            wanted_gradient = parts[suffix].grad
            assert wanted_gradient is not None
            torch.testing.assert_close(
                parameter.grad.flatten(),
                wanted_gradient.flatten(),
                atol=1e-5 * float(wanted_gradient.abs().max()),
                rtol=1e-5,
            )


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_first_step_changes_nothing_and_moves_something(model: _Mid, kind: str, dtype: torch.dtype) -> None:
    model.to(dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        before = {name: layer(inputs(name)) for name, layer in model.mid_block.items()}
        network = adapt(model, FORMS[kind])
        after = {name: layer(inputs(name)) for name, layer in model.mid_block.items()}
    for name, answer in after.items():
        assert torch.equal(answer, before[name]), name
        answer.float().square().mean().backward()
    gradients = [parameter.grad for _, parameter in network.named_parameters()]
    assert all(gradient is not None and gradient.dtype is torch.float32 for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients if gradient is not None)
    assert network.delta_norm() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("kind", FORMS)
def test_switched_off_it_is_the_base_and_afterwards_it_learns_on(model: _Mid, kind: str) -> None:
    before = {name: layer(inputs(name)) for name, layer in model.mid_block.items()}
    network = adapt(model, FORMS[kind])
    disturb(network)
    with network.disabled():
        for name, layer in model.mid_block.items():
            assert torch.equal(layer(inputs(name)), before[name])
    for name, layer in model.mid_block.items():
        answer = layer(inputs(name))
        assert not torch.allclose(answer, before[name], atol=1e-3)
        answer.square().mean().backward()
    assert all(parameter.grad is not None for _, parameter in network.named_parameters())


@pytest.mark.parametrize("kind", ["lora", "dora input", "loha", "lokr"])
def test_the_same_seed_starts_the_same_bit_for_bit(kind: str) -> None:
    starts = []
    for seed, noise in ((5, 1), (5, 2), (6, 1)):
        torch.manual_seed(0)
        model = _Mid()
        torch.manual_seed(noise)
        starts.append(dict(adapt(model, FORMS[kind], seed=seed).named_parameters()))
    first, again, other = starts
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_module_starts_the_same_whatever_others_there_are(model: _Mid) -> None:
    alone = Network([targets(model)[0]], lambda _target: PLAIN, seed=0)
    down = alone.layers[KEYS["linear"]].tensors["lora_down.weight"].detach()
    among = adapt(_Mid(), PLAIN).layers[KEYS["linear"]].tensors["lora_down.weight"]
    assert torch.equal(down, among)
    bound = 24**-0.5
    assert float(down.abs().max()) <= bound
    assert float(down.std()) == pytest.approx(bound / 3**0.5, rel=0.15)


DROPOUTS: dict[str, dict[str, Any]] = {
    "dropout": {"dropout": 0.5},
    "ranks": {"rank_dropout": 0.5},
    "modules": {"module_dropout": 0.5},
}


@pytest.mark.parametrize("what", DROPOUTS)
@pytest.mark.parametrize("kind", ["lora", "dora input", "loha", "lokr"])
def test_dropouts_work_within_steps_only_and_follow_the_seed(model: _Mid, kind: str, what: str) -> None:
    network = adapt(model, replace(FORMS[kind], **DROPOUTS[what]))
    disturb(network)

    def answers() -> Tensor:
        with torch.no_grad():
            return torch.cat([layer(inputs(name)).flatten() for name, layer in model.mid_block.items()])

    whole = answers()
    steps = []
    for seed in (1, 1, 2, 3, 4):
        with network.dropping(seed):
            steps.append(answers())
    assert torch.equal(steps[0], steps[1])
    assert len({tuple(step.tolist()) for step in steps}) >= 3
    assert torch.equal(answers(), whole)


@pytest.mark.parametrize("kind", ["lora", "dora input", "loha", "loha dora", "lokr"])
def test_a_module_that_is_left_out_is_the_frozen_layer(model: _Mid, kind: str) -> None:
    network = adapt(model, replace(FORMS[kind], module_dropout=1.0))
    disturb(network)
    for name in KEYS:
        layer: Any = model.mid_block[name]
        frozen = layer.get_base_layer()(inputs(name))
        with network.dropping(1):
            assert torch.equal(layer(inputs(name)), frozen)
        assert not torch.equal(layer(inputs(name)), frozen)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_mean_over_dropped_ranks_is_the_whole(model: _Mid) -> None:
    network = adapt(model, replace(PLAIN, rank_dropout=0.25))
    disturb(network)
    layer, x = network.layers[KEYS["linear"]].layer, inputs("linear").expand(400, 2, 5, 24).flatten(0, 1)
    with torch.no_grad(), network.dropping(7):
        mean = layer(x).view(400, 2, 5, 32).mean(0)
    torch.testing.assert_close(mean, layer(inputs("linear")).detach(), atol=0.15, rtol=0.1)


@pytest.mark.parametrize("kind", ["lora", "loha", "lokr", "lokr tucker", "rs-lora"])
def test_max_norm_shrinks_what_is_larger_and_nothing_else(model: _Mid, kind: str) -> None:
    network = adapt(model, FORMS[kind])
    disturb(network)
    before = {key: adapter.delta() for key, adapter in network.layers.items()}
    most = sorted(float(delta.norm()) for delta in before.values())[1]
    network.limit_norms(most)
    for key, adapter in network.layers.items():
        wanted = before[key] * min(1.0, most / float(before[key].norm()))
        torch.testing.assert_close(adapter.delta(), wanted, atol=1e-6, rtol=1e-4)
    network.limit_norms(0)
    assert max(float(adapter.delta().norm()) for adapter in network.layers.values()) == pytest.approx(most, rel=1e-4)


def test_ranks_by_pattern(model: _Mid) -> None:
    patterns = (RankPattern("point", 0), RankPattern("linear$", 8, 8.0), RankPattern("_mid_block_", 2))
    settings = NetworkSettings(rank=16, alpha=8.0, conv_rank=4, conv_alpha=1.0, patterns=patterns)
    network = Network(targets(model), form_of(settings), seed=0)
    found = {key: (adapter.form.rank, adapter.alpha) for key, adapter in network.layers.items()}
    # The first match decides; without an alpha of its own the relation to the rank stays.
    assert found == {KEYS["linear"]: (8, 8.0), KEYS["wide"]: (2, 1.0)}


def test_wide_convolutions_have_a_rank_of_their_own(model: _Mid) -> None:
    settings = NetworkSettings(rank=16, alpha=8.0, conv_rank=4, conv_alpha=1.0)
    ranks = {
        key: adapter.form.rank for key, adapter in Network(targets(model), form_of(settings), seed=0).layers.items()
    }
    assert ranks == {KEYS["linear"]: 16, KEYS["point"]: 16, KEYS["wide"]: 4}


def test_what_cannot_be_is_said_in_one_line(model: _Mid) -> None:
    settings = NetworkSettings(type="dora", dora_axis="output", dropout=0.1)
    with pytest.raises(UsageError, match="DoRA on the output axis"):
        Network(targets(model), form_of(settings), seed=0)


def test_text_encoders_and_up_matrices_are_groups_of_their_own(model: _Mid) -> None:
    network = adapt(model, PLAIN)
    assert len(network.parameters()) == 6
    assert len(network.parameters(part="text")) == 2
    assert len(network.parameters(part="model", up=True)) == 2
    down = network.layers[KEYS["point"]].tensors["lora_down.weight"]
    assert [parameter is down for parameter in network.parameters(part="text", up=False)] == [True]


@given(size=st.integers(1, 200), wanted=st.integers(-1, 40))
@settings(max_examples=60, deadline=None)
def test_lokr_factors_are_those_of_the_rule(size: int, wanted: int) -> None:
    network = adapt_linear(size, Form("lokr", 10_000, 1.0, factor=wanted or -1))
    rows, columns = network.layers["lora_unet_x"].tensors["lokr_w1"].shape
    assert rows == columns == ruled(size, wanted or -1)


def ruled(size: int, wanted: int) -> int:
    if wanted > 0 and size % wanted == 0:
        return min(wanted, size // wanted)
    best = 1
    for low in range(1, size + 1):
        if size % low == 0 and low <= size // low and (wanted == -1 or low <= wanted):
            best = low
    return best


@pytest.mark.parametrize(("size", "wanted", "pair"), [(128, -1, 8), (128, 4, 4), (360, 16, 15)])
def test_lokr_factors_of_the_formats_examples(size: int, wanted: int, pair: int) -> None:
    assert ruled(size, wanted) == pair
    network = adapt_linear(size, Form("lokr", 10_000, 1.0, factor=wanted))
    assert network.layers["lora_unet_x"].tensors["lokr_w1"].shape == (pair, pair)


def adapt_linear(size: int, form: Form) -> Network:
    root = nn.ModuleDict({"x": nn.Linear(size, size)})
    return Network([Target("lora_unet_x", root, "x")], lambda _target: form, seed=0)


def written(network: Network, path: Path) -> Path:
    tensors = {
        f"{key}.{suffix}": tensor.contiguous()
        for key, adapter in network.layers.items()
        for suffix, tensor in adapter.file_tensors().items()
    }
    save_file(tensors, path)
    return path


@pytest.mark.parametrize("kind", FORMS)
def test_a_training_goes_on_from_a_file_of_its_own_kind(model: _Mid, tmp_path: Path, kind: str) -> None:
    first = adapt(model, FORMS[kind])
    disturb(first)
    file = written(first, tmp_path / "first.safetensors")
    torch.manual_seed(0)
    # Another alpha: the change is what counts.
    again = adapt(_Mid(), replace(FORMS[kind], alpha=FORMS[kind].alpha * 4), seed=9)
    start_from(again, file)
    for key, adapter in again.layers.items():
        torch.testing.assert_close(adapter.delta(), first.layers[key].delta(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", [replace(PLAIN, rank=16), replace(PLAIN, rank=16, dora="input")])
def test_smaller_ranks_and_other_kinds_are_padded(tmp_path: Path, form: Form) -> None:
    for kind in ("lora", "lokr"):
        torch.manual_seed(0)
        first = adapt(_Mid(), FORMS[kind])
        disturb(first)
        file = written(first, tmp_path / f"{kind}.safetensors")
        torch.manual_seed(0)
        model = _Mid()
        again = adapt(model, form, seed=9)
        start_from(again, file)
        for key, adapter in again.layers.items():
            torch.testing.assert_close(adapter.delta(), first.layers[key].delta(), atol=1e-5, rtol=1e-5)
            assert bool(adapter.tensors["lora_down.weight"][first.layers[key].form.rank :].any())


@pytest.mark.parametrize(
    ("kind", "own", "message"),
    [
        ("lora", replace(PLAIN, rank=2), "has rank 4 at .*, this network 2: raise network"),
        ("lora", FORMS["loha"], "another kind of adapter"),
        ("dora input", PLAIN, "is a DoRA along the input axis: set network.type to dora"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line(
    model: _Mid, tmp_path: Path, kind: str, own: Form, message: str
) -> None:
    first = adapt(model, FORMS[kind])
    disturb(first)
    file = written(first, tmp_path / "first.safetensors")
    with pytest.raises(UsageError, match=message):
        start_from(adapt(_Mid(), own), file)


def test_a_file_with_modules_that_would_be_lost_is_refused(model: _Mid, tmp_path: Path) -> None:
    file = written(adapt(model, PLAIN), tmp_path / "first.safetensors")
    fewer = Network(targets(_Mid())[:2], lambda _target: PLAIN, seed=0)
    with pytest.raises(UsageError, match="also changes 1 modules that are not trained here"):
        start_from(fewer, file)


def test_a_file_that_splits_a_fused_layer_starts_the_whole(tmp_path: Path) -> None:
    root = nn.Module()
    root.attn = nn.ModuleDict({name: nn.Linear(8, 4) for name in ("to_q", "to_k", "to_v")})
    fuse(root.attn, "qkv", ("to_q", "to_k", "to_v"))
    network = Network([Target("lora_unet_qkv", root, "attn.qkv")], lambda _target: PLAIN, seed=0)
    q, v = (torch.randn(4, 2), torch.randn(2, 8)), (torch.randn(4, 2), torch.randn(2, 8))
    tensors = {}
    for name, (up, down) in (("to_q", q), ("to_v", v)):
        tensors[f"transformer.attn.{name}.lora_A.weight"] = down
        tensors[f"transformer.attn.{name}.lora_B.weight"] = up
    save_file(tensors, tmp_path / "split.safetensors")
    start_from(network, tmp_path / "split.safetensors")
    wanted = torch.cat([q[0] @ q[1], torch.zeros(4, 8), v[0] @ v[1]])
    torch.testing.assert_close(network.layers["lora_unet_qkv"].delta(), wanted, atol=1e-5, rtol=1e-5)
