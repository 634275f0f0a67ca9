"""Every kind of LoRA file becomes factors whose product is the ΔW of its definition."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from hubman.generate.bank import Bank
from hubman.generate.pipeline import sites_of
from hubman.lora.change import change_of
from hubman.lora.keys import Site, alias_table
from hubman.lora.kinds import fits
from hubman.lora.load import LoraWeights, load_lora
from registry.errors import DamagedFileError, HubError, NotFoundError
from tests.support import adapter_formulas as formulas

LINEAR, CONV = "mid_block.attentions.0.proj_in", "mid_block.resnets.0.conv1"
POINT, NORM = "mid_block.resnets.0.conv_shortcut", "mid_block.resnets.0.norm1"


class _Mid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        convs = {"conv1": nn.Conv2d(8, 16, 3, padding=1), "conv_shortcut": nn.Conv2d(8, 16, 1)}
        resnet = nn.ModuleDict({**convs, "norm1": nn.GroupNorm(4, 8)})
        self.mid_block = nn.ModuleDict(
            {
                "attentions": nn.ModuleList([nn.ModuleDict({"proj_in": nn.Linear(24, 32)})]),
                "resnets": nn.ModuleList([resnet]),
            }
        )


@pytest.fixture
def unet() -> nn.Module:
    torch.manual_seed(0)
    return _Mid()


def _load(tmp_path: Path, unet: nn.Module, tensors: dict[str, torch.Tensor], **metadata: str) -> LoraWeights:
    file = tmp_path / "x.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file, metadata)
    modules = sites_of("unet", unet)

    def weight_of(site: Site) -> torch.Tensor:
        weight = modules[site].weight
        assert isinstance(weight, torch.Tensor)
        return weight.detach()

    return load_lora(file, alias_table(modules), base="tiny", weight_of=weight_of)


def _delta(lora: LoraWeights, path: str) -> torch.Tensor:
    return next(factors.delta() for site, factors in lora.factors.items() if site.path == path)


def _named(path: str, **parts: torch.Tensor) -> dict[str, torch.Tensor]:
    name = "lora_unet_" + path.replace(".", "_")
    return {f"{name}.{part.replace('__', '.')}": tensor for part, tensor in parts.items()}


def test_kohya_linear_folds_alpha_over_rank(tmp_path: Path, unet: nn.Module) -> None:
    down, up = torch.randn(4, 24), torch.randn(32, 4)
    lora = _load(tmp_path, unet, _named(LINEAR, lora_down__weight=down, lora_up__weight=up, alpha=torch.tensor(2.0)))
    torch.testing.assert_close(_delta(lora, LINEAR), up @ down * 0.5)


def test_without_alpha_the_scale_is_one(tmp_path: Path, unet: nn.Module) -> None:
    down, up = torch.randn(4, 24), torch.randn(32, 4)
    lora = _load(tmp_path, unet, _named(LINEAR, lora_down__weight=down, lora_up__weight=up))
    torch.testing.assert_close(_delta(lora, LINEAR), up @ down)


def test_alphas_that_differ_between_modules_each_count(tmp_path: Path, unet: nn.Module) -> None:
    down, up, down2, up2 = torch.randn(4, 24), torch.randn(32, 4), torch.randn(2, 8, 3, 3), torch.randn(16, 2, 1, 1)
    tensors = _named(LINEAR, lora_down__weight=down, lora_up__weight=up, alpha=torch.tensor(1.0))
    tensors |= _named(CONV, lora_down__weight=down2, lora_up__weight=up2, alpha=torch.tensor(8.0))
    lora = _load(tmp_path, unet, tensors)
    torch.testing.assert_close(_delta(lora, LINEAR), up @ down * 0.25)
    expected = (up2.flatten(1) @ down2.flatten(1)).view(16, 8, 3, 3) * 4
    torch.testing.assert_close(_delta(lora, CONV), expected)


def test_half_ldm_half_diffusers_names_all_load(tmp_path: Path, unet: nn.Module) -> None:
    tensors = {
        "lora_unet_middle_block_1_proj_in.lora_down.weight": torch.randn(4, 24),
        "lora_unet_middle_block_1_proj_in.lora_up.weight": torch.randn(32, 4),
        **_named(CONV, lora_down__weight=torch.randn(2, 8, 3, 3), lora_up__weight=torch.randn(16, 2, 1, 1)),
    }
    assert _load(tmp_path, unet, tensors).coverage.matched == 2


PLACES = {"linear": LINEAR, "conv": CONV, "1x1": POINT}


ROWS = [*itertools.product(formulas.MATRIX, PLACES), *((kind, "conv") for kind in formulas.CONV)]


@pytest.mark.parametrize(("kind", "place"), ROWS)
def test_every_kind_is_exactly_what_its_definition_says(tmp_path: Path, unet: nn.Module, kind: str, place: str) -> None:
    path = PLACES[place]
    weight = unet.get_submodule(path).weight
    assert isinstance(weight, torch.Tensor)
    tensors, wanted = (formulas.MATRIX | formulas.CONV)[kind](formulas.Case(weight.detach().numpy()))
    named = {f"lora_unet_{path.replace('.', '_')}.{name}": torch.tensor(array) for name, array in tensors.items()}
    got = _delta(_load(tmp_path, unet, named), path)
    assert np.abs(got.numpy() - wanted).max() <= 1e-6
    assert np.abs(wanted).max() > 0.01


def test_low_rank_kinds_stay_low_rank(tmp_path: Path, unet: nn.Module) -> None:
    for kind, rank in (("LoRA", 4), ("LoHa", 4), ("LoKr second", 4)):
        weight = unet.get_submodule(LINEAR).weight
        assert isinstance(weight, torch.Tensor)
        tensors, _ = formulas.MATRIX[kind](formulas.Case(weight.detach().numpy()))
        named = {f"lora_unet_{LINEAR.replace('.', '_')}.{name}": torch.tensor(a) for name, a in tensors.items()}
        (factors,) = _load(tmp_path, unet, named).factors.values()
        assert factors.rank == rank
        assert factors.norm() == pytest.approx(float(factors.delta().norm()), rel=1e-5)


def test_norms_and_biases_are_changed_too(tmp_path: Path, unet: nn.Module) -> None:
    w, b, bias = torch.randn(8), torch.randn(8), torch.randn(32)
    tensors = {**_named(NORM, w_norm=w, b_norm=b), **_named(LINEAR, diff_b=bias, diff=torch.zeros(32, 24))}
    changes = {site.path: change for site, change in _load(tmp_path, unet, tensors).changes.items()}
    assert torch.equal(changes[NORM].norm, w)  # type: ignore[arg-type]
    assert torch.equal(changes[NORM].bias, b)  # type: ignore[arg-type]
    assert torch.equal(changes[LINEAR].bias, bias)  # type: ignore[arg-type]
    assert changes[NORM].size() == pytest.approx(float(torch.cat([w, b]).norm()), rel=1e-6)


@pytest.mark.parametrize("place", [LINEAR, CONV, NORM])
def test_the_bank_draws_every_sample_as_its_changed_weights_would(tmp_path: Path, unet: nn.Module, place: str) -> None:
    modules = sites_of("unet", unet)
    (site,) = (site for site in modules if site.path == place)
    two = []
    for _ in range(2):
        size = site.shape[0]
        parts = {"w_norm": torch.randn(size), "b_norm": torch.randn(size)} if place == NORM else {}
        parts = parts or {"diff": torch.randn(site.shape) * 0.1, "diff_b": torch.randn(size)}
        two.append(_load(tmp_path, unet, _named(place, **parts)))
    inputs = site.shape[0] if site.is_norm else site.shape[1]
    x = torch.randn(3, 5, inputs) if place == LINEAR else torch.randn(3, inputs, 6, 6)
    strengths = [[0.0, 0.0], [1.0, -0.5], [0.25, 2.0]]
    wanted = []
    for row, sample in zip(strengths, x, strict=True):
        layer: Any = copy.deepcopy(unet.get_submodule(place))
        for strength, lora in zip(row, two, strict=True):
            (change,) = lora.changes.values()
            delta: Any = change.norm if change.factors is None else change.factors.delta()
            layer.weight.data += strength * delta
            layer.bias.data += strength * cast("torch.Tensor", change.bias)
        wanted.append(layer(sample[None])[0])
    bank = Bank({"unet": unet}, modules)
    bank.install(two)
    bank.set_strengths("unet", strengths)
    torch.testing.assert_close(unet.get_submodule(place)(x), torch.stack(wanted), atol=1e-5, rtol=1e-5)
    bank.remove()
    assert unet.get_submodule(place) is modules[site]


@pytest.mark.parametrize(("rslora", "scale"), [(False, 0.5), (True, 1.0)])
def test_peft_alpha_comes_from_the_header(tmp_path: Path, unet: nn.Module, rslora: bool, scale: float) -> None:
    down, up = torch.randn(4, 24), torch.randn(32, 4)
    settings = {"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"proj_in": 2}, "unet.use_rslora": rslora}
    tensors = {f"unet.{LINEAR}.lora_A.weight": down, f"unet.{LINEAR}.lora_B.weight": up}
    lora = _load(tmp_path, unet, tensors, lora_adapter_metadata=json.dumps(settings))
    torch.testing.assert_close(_delta(lora, LINEAR), up @ down * scale)


def test_half_precision_files_are_read_in_full_precision(tmp_path: Path, unet: nn.Module) -> None:
    down, up = torch.randn(4, 24).bfloat16(), torch.randn(32, 4).bfloat16()
    lora = _load(tmp_path, unet, _named(LINEAR, lora_down__weight=down, lora_up__weight=up))
    torch.testing.assert_close(_delta(lora, LINEAR), up.float() @ down.float())


def test_missing_damaged_pickled_and_diverged_files_say_so(tmp_path: Path, unet: nn.Module) -> None:
    table = alias_table(sites_of("unet", unet))
    with pytest.raises(NotFoundError, match="is not there"):
        load_lora(tmp_path / "none.safetensors", table, base="tiny")
    pickled = tmp_path / "x.pt"
    pickled.write_bytes(b"\x80\x04.")
    with pytest.raises(HubError, match="not a safetensors file"):
        load_lora(pickled, table, base="tiny")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\xff\xff\xff\xff\xff\xff\xff\x00{}")
    with pytest.raises(DamagedFileError, match="cannot be read"):
        load_lora(broken, table, base="tiny")
    down = torch.full((4, 24), float("nan"))
    with pytest.raises(DamagedFileError, match="NaN"):
        _load(tmp_path, unet, _named(LINEAR, lora_down__weight=down, lora_up__weight=torch.zeros(32, 4)))


SITES = [Site("unet", "linear", (8, 4)), Site("unet", "conv", (8, 4, 3, 3)), Site("unet", "norm", (8,))]
KINDS = [
    ["down", "up", "mid"],
    ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"],
    ["lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"],
    ["oft_blocks", "rescale"],
    ["glora_a1", "glora_a2", "glora_b1", "glora_b2", "glora_bm"],
    ["ia3_weight", "ia3_on_input"],
    ["diff", "diff_b", "w_norm", "b_norm"],
]
SIZES = st.lists(st.sampled_from([1, 2, 3, 4, 8]), max_size=4).map(tuple)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_what_passes_by_its_shapes_makes_a_change_and_nothing_else_does(data: st.DataObject) -> None:
    site = data.draw(st.sampled_from(SITES))
    names = data.draw(st.lists(st.sampled_from(data.draw(st.sampled_from(KINDS))), min_size=1, unique=True))
    names += data.draw(st.lists(st.sampled_from(["alpha", "dora_scale"]), unique=True))
    shapes = {name: () if name in ("alpha", "ia3_on_input") else data.draw(SIZES) for name in names}
    if not fits(site, shapes):
        return
    weight = torch.randn(site.shape)
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items()}
    if "ia3_on_input" in tensors:
        # Which side it is for is in the value, not in a shape.
        tensors["ia3_on_input"] += tensors.get("ia3_weight", weight).numel() == site.shape[1]
    change = change_of(tensors, site, weight=lambda: weight)
    if change.factors:
        assert change.factors.delta().shape == site.shape
    if change.norm is not None:
        assert change.norm.shape == site.shape
    if change.bias is not None:
        assert change.bias.shape == site.shape[:1]
