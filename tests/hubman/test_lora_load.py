"""Every kind of LoRA file becomes factors whose product is the ΔW of its definition."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hubman.generate.pipeline import sites_of
from hubman.lora.keys import Site, alias_table
from hubman.lora.load import LoraWeights, load_lora
from registry.errors import DamagedFileError, HubError, NotFoundError

LINEAR, CONV = "mid_block.attentions.0.proj_in", "mid_block.resnets.0.conv1"


class _Mid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mid_block = nn.ModuleDict(
            {
                "attentions": nn.ModuleList([nn.ModuleDict({"proj_in": nn.Linear(24, 32)})]),
                "resnets": nn.ModuleList([nn.ModuleDict({"conv1": nn.Conv2d(8, 16, 3, padding=1)})]),
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


def test_tucker_is_exact(tmp_path: Path, unet: nn.Module) -> None:
    mid, down, up = torch.randn(3, 3, 3, 3), torch.randn(3, 8, 1, 1), torch.randn(16, 3, 1, 1)
    lora = _load(tmp_path, unet, _named(CONV, lora_mid__weight=mid, lora_down__weight=down, lora_up__weight=up))
    expected = torch.einsum("mnkl,im,nj->ijkl", mid, up.flatten(1), down.flatten(1))
    torch.testing.assert_close(_delta(lora, CONV), expected)


@pytest.mark.parametrize("rank", [2, 6])
@pytest.mark.parametrize("path", [LINEAR, CONV])
def test_loha_is_exact_below_and_above_the_full_rank(tmp_path: Path, unet: nn.Module, path: str, rank: int) -> None:
    out, columns, shape = (32, 24, (32, 24)) if path == LINEAR else (16, 72, (16, 8, 3, 3))
    w = [torch.randn(*size) for size in ((out, rank), (rank, columns), (out, rank), (rank, columns))]
    parts = dict(zip(("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), w, strict=True))
    lora = _load(tmp_path, unet, _named(path, **parts, alpha=torch.tensor(1.0)))
    expected = (w[0] @ w[1]) * (w[2] @ w[3]) / rank
    torch.testing.assert_close(_delta(lora, path), expected.view(shape), atol=1e-5, rtol=1e-5)


def test_lokr_with_full_factors_ignores_alpha(tmp_path: Path, unet: nn.Module) -> None:
    w1, w2 = torch.randn(4, 4), torch.randn(8, 6)
    lora = _load(tmp_path, unet, _named(LINEAR, lokr_w1=w1, lokr_w2=w2, alpha=torch.tensor(1.0)))
    torch.testing.assert_close(_delta(lora, LINEAR), torch.kron(w1, w2))


def test_lokr_with_low_rank_w2_is_exact(tmp_path: Path, unet: nn.Module) -> None:
    w1, w2a, w2b = torch.randn(4, 4), torch.randn(8, 2), torch.randn(2, 6)
    parts = _named(LINEAR, lokr_w1=w1, lokr_w2_a=w2a, lokr_w2_b=w2b, alpha=torch.tensor(1.0))
    lora = _load(tmp_path, unet, parts)
    torch.testing.assert_close(_delta(lora, LINEAR), torch.kron(w1, w2a @ w2b) / 2)
    assert next(iter(lora.factors.values())).rank == 8


def test_lokr_of_a_convolution_is_exact(tmp_path: Path, unet: nn.Module) -> None:
    w1a, w1b, w2 = torch.randn(4, 2), torch.randn(2, 2), torch.randn(4, 4, 3, 3)
    parts = _named(CONV, lokr_w1_a=w1a, lokr_w1_b=w1b, lokr_w2=w2, alpha=torch.tensor(4.0))
    lora = _load(tmp_path, unet, parts)
    expected = torch.kron((w1a @ w1b)[:, :, None, None], w2) * 2
    torch.testing.assert_close(_delta(lora, CONV), expected)


def test_a_full_difference_is_kept_as_it_is(tmp_path: Path, unet: nn.Module) -> None:
    diff = torch.randn(16, 8, 3, 3)
    torch.testing.assert_close(_delta(_load(tmp_path, unet, _named(CONV, diff=diff)), CONV), diff)


@pytest.mark.parametrize("by", ["rows", "columns"])
def test_dora_uses_the_base_weight_along_the_axis_of_its_magnitude(tmp_path: Path, unet: nn.Module, by: str) -> None:
    down, up = torch.randn(4, 24), torch.randn(32, 4)
    magnitude = torch.rand(32, 1) + 0.5 if by == "rows" else torch.rand(1, 24) + 0.5
    parts = _named(LINEAR, lora_down__weight=down, lora_up__weight=up, dora_scale=magnitude)
    base = next(m.weight for s, m in sites_of("unet", unet).items() if s.path == LINEAR)
    assert isinstance(base, torch.Tensor)
    whole = base.detach() + up @ down
    norm = whole.norm(dim=1 if by == "rows" else 0, keepdim=True)
    expected = whole * magnitude / norm - base.detach()
    torch.testing.assert_close(_delta(_load(tmp_path, unet, parts), LINEAR), expected, atol=1e-5, rtol=1e-5)


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
