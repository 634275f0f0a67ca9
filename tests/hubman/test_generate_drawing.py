"""Passes, modes, block weights and fused weights: each acts where it should, and nothing else changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from hubman.generate.bank import Bank
from hubman.generate.engine import LocalEngine
from hubman.generate.pictures import read_info
from hubman.generate.pipeline import Base, load_base, sites_of
from hubman.generate.request import DrawRequest, Hires, LoraUse
from hubman.lora.change import Change
from hubman.lora.factors import Factors, dense
from hubman.lora.load import LoraWeights, load_lora
from hubman.lora.resolve import Coverage
from hubman.lora.truncating import truncated
from hubman.train.loss.noise_schedule import NoiseSchedule
from registry.errors import DamagedFileError, HubError, NotFoundError, UsageError
from tests.support.small_unet import SmallUnet
from tests.support.tiny_pipeline import make_tiny_pipeline

STEPS = 4
Pixels = NDArray[np.int16]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tiny: Path) -> Base:
    return load_base(tiny, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine(device=torch.device("cpu"))


@pytest.fixture(scope="module")
def loras(base: Base, tmp_path_factory: pytest.TempPathFactory) -> list[LoraUse]:
    """Over every Linear and Conv2d, also of the resnets, as LoCon files are."""
    folder = tmp_path_factory.mktemp("loras")
    return [_write_lora(base, folder / f"{name}.safetensors", seed) for seed, name in enumerate(("ink", "neon"))]


def _write_lora(base: Base, file: Path, seed: int, kind: str = "lora", rank: int = 3) -> LoraUse:
    random = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for site in base.modules:
        if site.is_norm:
            continue
        prefix = "lora_unet_" if site.component == "unet" else "lora_te_text_model_"
        name = prefix + site.path.removeprefix("text_model.").replace(".", "_")
        down = torch.randn(rank, *site.shape[1:], generator=random) * 0.3
        up = torch.randn(site.shape[0], rank, *[1] * (len(site.shape) - 2), generator=random) * 0.3
        if kind == "diff":
            tensors[f"{name}.diff"] = torch.randn(site.shape, generator=random) * 0.05
            tensors[f"{name}.diff_b"] = torch.randn(site.shape[0], generator=random) * 0.05
        elif kind == "lokr" and site.shape[1] % 4 == 0 and site.shape[0] % 4 == 0:
            small = (site.shape[0] // 4, site.shape[1] // 4, *site.shape[2:])
            tensors[f"{name}.lokr_w1"] = torch.randn(4, 4, generator=random) * 0.3
            tensors[f"{name}.lokr_w2"] = torch.randn(small, generator=random) * 0.1
        else:
            tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
            if kind == "dora":
                tensors[f"{name}.dora_scale"] = torch.rand(site.shape[0], *[1] * (len(site.shape) - 1)) + 0.5
    save_file(tensors, file)
    return LoraUse(path=str(file), name=file.stem, sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def _request(tiny: Path, **changes: Any) -> DrawRequest:
    request = DrawRequest(base=str(tiny), prompt="a red circle", negative="blue", seed=5, steps=STEPS, cfg=4.0)
    return msgspec.structs.replace(request, **changes)


def _draw(engine: LocalEngine, out: Path, *requests: DrawRequest, batch: int = 8) -> list[Pixels]:
    found = {
        drawn.key: np.asarray(Image.open(drawn.path), np.int16) for drawn in engine.draw(requests, out, batch=batch)
    }
    return [found[request.key()] for request in requests]


def _with(use: LoraUse, **changes: Any) -> LoraUse:
    return msgspec.structs.replace(use, **changes)


def _far(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one - other).max())


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.effect_mandelbrot((96, 64), (-2, -1, 1, 1), 40).convert("RGB").save(path)
    return path


def test_img2img_equals_that_of_diffusers(tiny: Path, engine: LocalEngine, tmp_path: Path, photo: Path) -> None:
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(str(tiny), safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    picture = Image.open(photo).resize((64, 64), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.asarray(picture, np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    latents = pipeline.vae.encode(pixels).latent_dist.mean * pipeline.vae.config.scaling_factor
    image = pipeline(
        "a red circle", image=latents, strength=0.5, negative_prompt="blue", num_inference_steps=STEPS,
        guidance_scale=4.0, generator=torch.Generator("cpu").manual_seed(5),
    ).images[0]  # fmt: skip
    [drawn] = _draw(engine, tmp_path, _request(tiny, init=str(photo), denoise=0.5, sampler="DDIM"))
    assert _far(drawn, np.asarray(image, np.int16)) <= 1


def test_how_far_img2img_goes_back_decides_what_is_left_of_the_picture(
    tiny: Path, engine: LocalEngine, tmp_path: Path, photo: Path
) -> None:
    kept, half, whole = _draw(
        engine, tmp_path, *(_request(tiny, init=str(photo), denoise=denoise) for denoise in (0.0, 0.5, 1.0))
    )
    base = engine.load(str(tiny)).model
    start = base.encode_image(Image.open(photo).convert("RGB").resize((64, 64), Image.Resampling.LANCZOS)).mean
    decoded = np.asarray(base.decode(start), np.int16)
    assert _far(kept, decoded) == 0
    assert 0 < np.abs(half - decoded).mean() < np.abs(whole - decoded).mean()


def test_a_picture_that_is_not_there_or_none_is_said(tiny: Path, engine: LocalEngine, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(NotFoundError, match="is not there"):
        _draw(engine, tmp_path, _request(tiny, init=str(tmp_path / "none.png")))
    with pytest.raises(DamagedFileError, match="not a picture"):
        _draw(engine, tmp_path, _request(tiny, init=str(tmp_path / "text.png")))


@pytest.mark.parametrize("sampler", ["DDIM", "Euler a", "Heun", "DPM++ 2M", "DPM++ SDE", "PLMS", "LCM"])
def test_a_second_pass_in_a_batch_is_that_of_each_cell_alone(
    tiny: Path, engine: LocalEngine, tmp_path: Path, sampler: str
) -> None:
    cells = [_request(tiny, seed=seed, sampler=sampler, hires=Hires(scale=1.5)) for seed in (1, 2)]
    together = _draw(engine, tmp_path / "a", *cells)
    alone = _draw(engine, tmp_path / "b", *cells, batch=1)
    assert all(each.shape == (96, 96, 3) for each in together)
    assert all(_far(one, other) <= 1 for one, other in zip(together, alone, strict=True))


def test_upscalers_and_denoise_make_different_second_passes(tiny: Path, engine: LocalEngine, tmp_path: Path) -> None:
    plans = [
        Hires(), Hires(upscaler="Lanczos"), Hires(upscaler="Latent (nearest)"), Hires(denoise=0.3), Hires(steps=8),
        Hires(width=96, height=64),
    ]  # fmt: skip
    pictures = _draw(engine, tmp_path, *(_request(tiny, hires=plan) for plan in plans))
    assert len({picture.tobytes() for picture in pictures}) == len(plans)
    assert pictures[-1].shape == (64, 96, 3)


def test_without_denoising_the_second_pass_only_makes_it_larger(
    tiny: Path, engine: LocalEngine, tmp_path: Path
) -> None:
    small, large = _draw(engine, tmp_path, _request(tiny), _request(tiny, hires=Hires(denoise=0.0, upscaler="Nearest")))
    assert np.abs(large[::2, ::2] - small).mean() < np.abs(large[::2, ::2] - small[::-1]).mean()


def test_another_vae_decodes_and_the_bases_own_comes_back(
    tiny: Path, engine: LocalEngine, tmp_path: Path, base: Base
) -> None:
    folder = make_tiny_pipeline(tmp_path / "other", seed=1) / "vae"
    file = folder / "diffusion_pytorch_model.safetensors"
    plain, other, same, again = (
        _draw(engine, tmp_path / str(number), _request(tiny, vae=vae))[0]
        for number, vae in enumerate(("", str(folder), str(file), ""))
    )
    assert _far(plain, other) > 5
    assert _far(other, same) == 0
    assert _far(plain, again) == 0
    with pytest.raises(NotFoundError):
        _draw(engine, tmp_path, _request(tiny, vae=str(tmp_path / "none")))
    tensors = load_file(file)
    _draw(engine, tmp_path / "before", _request(tiny, vae=str(file)))
    (make_tiny_pipeline(tmp_path / "third", seed=2) / "vae" / file.name).replace(file)
    assert _far(other, _draw(engine, tmp_path / "replaced", _request(tiny, vae=str(file)))[0]) > 5
    save_file({name: tensor[:1].clone() for name, tensor in tensors.items()}, tmp_path / "bad.safetensors")
    with pytest.raises(DamagedFileError, match="VAE bad"):
        _draw(engine, tmp_path, _request(tiny, vae=str(tmp_path / "bad.safetensors")))


@pytest.mark.parametrize("sampler", ["Euler a", "Euler", "Heun", "DPM++ 2M", "DPM++ SDE", "UniPC"])
def test_schedule_types_are_different_noise_levels(base: Base, sampler: str) -> None:
    def levels(schedule: str) -> list[float]:
        scheduler = base.model.scheduler(sampler, 6, (64, 64), schedule)
        assert float(scheduler.sigmas[0]) > 5
        return [round(float(level), 2) for level in scheduler.sigmas]

    shown = [levels(each) for each in ("Uniform", "Karras", "Exponential", "Beta", "KL Optimal", "Align Your Steps")]
    assert all(one == sorted(one, reverse=True) for one in shown)
    assert len({tuple(one) for one in shown}) == len(shown)


def test_fused_pictures_are_those_of_the_bank_and_leave_the_weights_alone(
    tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]
) -> None:
    def digest() -> str:
        roots = engine.load(str(tiny)).model.roots
        weights = [each for root in roots.values() for each in root.state_dict().values()]
        return hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in weights)).hexdigest()

    [_] = _draw(engine, tmp_path, _request(tiny))
    before = digest()
    uses = (_with(loras[0], strength=0.7, te_strength=0.2), _with(loras[1], strength=-0.4))
    banked, fused, bare = (
        _draw(engine, tmp_path / name, request)[0]
        for name, request in {
            "bank": _request(tiny, loras=uses),
            "fused": _request(tiny, loras=uses, mode="fused"),
            "bare": _request(tiny),
        }.items()
    )
    assert _far(banked, fused) <= 1
    assert _far(banked, bare) > 5
    assert digest() == before
    chunk = read_info(next((tmp_path / "fused").glob("*.png")))[1]
    assert chunk is not None
    assert chunk.engine.path == "fused"


@pytest.mark.parametrize("kind", ["dora", "diff", "lokr"])
def test_changes_without_a_low_rank_are_the_same_in_the_bank_and_fused(
    tiny: Path, engine: LocalEngine, tmp_path: Path, base: Base, kind: str
) -> None:
    use = _with(_write_lora(base, tmp_path / f"{kind}.safetensors", 3, kind), strength=0.6)
    banked, fused, bare = _draw(
        engine, tmp_path, _request(tiny, loras=(use,)), _request(tiny, loras=(use,), mode="fused"), _request(tiny)
    )
    assert _far(banked, fused) <= 1
    assert _far(banked, bare) > 5


def test_a_fused_lora_cannot_start_later(tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]) -> None:
    with pytest.raises(UsageError, match="starts or stops"):
        _draw(engine, tmp_path, _request(tiny, mode="fused", loras=(_with(loras[0], start=1),)))


def test_weights_of_zero_for_all_blocks_leave_no_layer_at_strength(
    tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]
) -> None:
    zeros = [",".join(["0"] * count) for count in (12, 17, 20, 26)]
    bare, *others = _draw(
        engine, tmp_path, _request(tiny),
        *(_request(tiny, loras=(_with(loras[0], blocks=each),)) for each in (*zeros, "NONE")),
    )  # fmt: skip
    assert all(_far(bare, other) == 0 for other in others)


def test_block_weights_of_a_batch_are_each_cells_own(
    tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]
) -> None:
    lists = ["", "ALL", ",".join(["1"] * 26), "INALL", "OUTALL", "B-LoRA content", ",".join(["0.5"] * 26)]
    cells = [_request(tiny, loras=(_with(loras[0], blocks=each),)) for each in lists]
    together = _draw(engine, tmp_path / "a", *cells)
    alone = _draw(engine, tmp_path / "b", *cells, batch=1)
    assert all(_far(one, other) <= 1 for one, other in zip(together, alone, strict=True))
    assert _far(together[0], together[1]) == _far(together[0], together[2]) == 0
    half = _draw(engine, tmp_path, _request(tiny, loras=(_with(loras[0], strength=0.5),)))[0]
    assert _far(half, together[-1]) <= 1
    assert len({picture.tobytes() for picture in together}) == 5


def test_block_weights_of_another_kind_of_base_are_refused(
    tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]
) -> None:
    for blocks, problem in ((",".join(["1"] * 61), "not of this kind"), ("1,2,3", "3 block weights"), ("x", "unknown")):
        with pytest.raises(UsageError, match=problem):
            _draw(engine, tmp_path, _request(tiny, loras=(_with(loras[0], blocks=blocks),)))


def test_switch_gives_each_lora_its_turn(tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]) -> None:
    silent = tuple(_with(use, te_strength=0.0) for use in loras)
    ink, neon = silent
    turns = (_with(ink, stop=2), _with(neon, start=2))
    whole, switched, other_way, by_hand = _draw(
        engine, tmp_path,
        _request(tiny, loras=silent),
        _request(tiny, loras=silent, mode="switch", switch_every=2),
        _request(tiny, loras=silent[::-1], mode="switch", switch_every=2),
        _request(tiny, loras=turns),
    )  # fmt: skip
    assert _far(switched, by_hand) <= 1
    assert _far(switched, whole) > 3
    assert _far(switched, other_way) > 3


def test_composite_averages_the_predictions_of_each_lora_alone(
    tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]
) -> None:
    ink, neon = loras
    alone, same, both, bank = _draw(
        engine, tmp_path,
        _request(tiny, loras=(ink,), steps=1),
        _request(tiny, loras=(ink,), mode="composite", steps=1),
        _request(tiny, loras=(ink, neon), mode="composite", steps=1),
        _request(tiny, loras=(ink, neon), steps=1),
    )  # fmt: skip
    assert _far(alone, same) <= 1
    assert _far(both, bank) > 3
    order = _draw(engine, tmp_path / "o", _request(tiny, loras=(neon, ink), mode="composite", steps=1))[0]
    assert _far(both, order) <= 1


def test_a_rank_is_cut_down_to_the_largest_singular_values(
    tiny: Path, engine: LocalEngine, base: Base, tmp_path: Path, loras: list[LoraUse]
) -> None:
    whole = load_lora(Path(loras[0].path), base.table, base="tiny")
    for site, factors in truncated(whole, 1).factors.items():
        matrix = whole.factors[site].delta().flatten(1).double()
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        best = values[0] * left[:, :1] @ right[:1]
        torch.testing.assert_close(factors.delta().flatten(1).double(), best, atol=1e-5, rtol=1e-4)
    same, full, one = _draw(
        engine, tmp_path, _request(tiny, loras=(loras[0],)), _request(tiny, loras=(_with(loras[0], rank=64),)),
        _request(tiny, loras=(_with(loras[0], rank=1),)),
    )  # fmt: skip
    assert _far(same, full) <= 1
    assert _far(same, one) > 3


def test_a_sweep_is_one_compiled_program(tmp_path: Path) -> None:
    unet = SmallUnet(
        NoiseSchedule.of(torch.linspace(0.99, 0.01, 1000), v_prediction=False, device=torch.device("cpu"))
    ).denoiser
    modules = sites_of("unet", unet)
    bank = Bank({"unet": unet}, modules, fixed=True)
    graphs: list[torch.fx.GraphModule] = []

    def count(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    def lora(rank: int, kind: int) -> LoraWeights:
        changes = {
            site: Change(factors=Factors(torch.randn(rank, *site.shape[1:]) / 9, torch.randn(site.shape[0], rank) / 9))
            for site in modules
            if not site.is_norm
        }
        site = next(iter(changes))
        changes[site] = Change(factors=dense(torch.randn(site.shape) / 9, site), bias=torch.randn(site.shape[0]))
        return LoraWeights(tmp_path / f"{kind}.safetensors", changes, Coverage(1, 1, {}, ()))

    x, text = torch.randn(2, 4, 4, 4), torch.randn(2, 3, 8)

    def answer(*strengths: tuple[float, float]) -> torch.Tensor:
        bank.set_strengths("unet", strengths)
        with torch.inference_mode():
            told: torch.Tensor = unet(x, torch.tensor(10), encoder_hidden_states=text, return_dict=False)[0]
            return told

    cells = [((0.3 * n, 1.0 - n), (0.0, float(n))) for n in range(4)] + [((0.0, 0.0), (0.0, 0.0))]
    bank.install([lora(2, 0), lora(3, 1)])
    expected = [answer(*cell) for cell in cells]
    torch._dynamo.reset()
    unet.compile(backend=count, dynamic=False)
    for cell, plain in zip(cells, expected, strict=True):
        torch.testing.assert_close(answer(*cell), plain, atol=1e-5, rtol=1e-4)
    assert len(graphs) == 1
    bank.install([lora(4, 0), lora(2, 1)])
    answer(*cells[0])
    assert len(graphs) == 1
    torch._dynamo.reset()


def test_a_lora_that_does_not_fit_leaves_the_base_bare(
    tiny: Path, base: Base, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]
) -> None:
    before = _draw(engine, tmp_path / "a", _request(tiny))[0]
    _draw(engine, tmp_path / "a", _request(tiny, loras=(loras[0],), mode="fused"))
    save_file({"lora_unet_nowhere.lora_up.weight": torch.ones(2, 2)}, tmp_path / "bad.safetensors")
    bad = LoraUse(path=str(tmp_path / "bad.safetensors"), name="bad", sha256="f" * 64)
    with pytest.raises(HubError):
        _draw(engine, tmp_path / "b", _request(tiny, loras=(bad,)))
    assert _far(before, _draw(engine, tmp_path / "b", _request(tiny))[0]) == 0
