"""The engine draws what diffusers draws, each cell by itself, with LoRAs exactly where they belong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler, StableDiffusionPipeline
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from hubman.generate.bank import Bank
from hubman.generate.encode import chunks_of
from hubman.generate.engine import LocalEngine
from hubman.generate.pictures import read_info
from hubman.generate.pipeline import Base, load_base
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.samplers import SAMPLERS, make_scheduler
from hubman.lora.load import LoraWeights, load_lora
from hubman.progress import Progress
from registry.errors import CancelledError, DamagedFileError, HubError, NotFoundError, UsageError
from tests.support.tiny_pipeline import make_tiny_pipeline

STEPS = 3


@pytest.fixture(scope="session")
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


def _make_lora(base: Base, file: Path, seed: int, *, components: tuple[str, ...] = ("unet", "text_encoder")) -> LoraUse:
    """A kohya file over every module of the components, strong enough to see."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for site in base.modules:
        if site.component in components and not site.is_norm:
            prefix = "lora_unet_" if site.component == "unet" else "lora_te_text_model_"
            name = prefix + site.path.removeprefix("text_model.").replace(".", "_")
            down = torch.randn(2, *site.shape[1:], generator=generator) * 0.3
            up = torch.randn(site.shape[0], 2, *[1] * (len(site.shape) - 2), generator=generator) * 0.3
            tensors |= {
                f"{name}.lora_down.weight": down,
                f"{name}.lora_up.weight": up,
                f"{name}.alpha": torch.tensor(1.0),
            }
    save_file(tensors, file)
    return LoraUse(path=str(file), name=file.stem, sha256=hashlib.sha256(file.read_bytes()).hexdigest())


@pytest.fixture(scope="module")
def loras(base: Base, tmp_path_factory: pytest.TempPathFactory) -> list[LoraUse]:
    folder = tmp_path_factory.mktemp("loras")
    return [_make_lora(base, folder / f"{name}.safetensors", seed) for seed, name in enumerate(("ink", "neon", "clay"))]


def _pixels(path: str | Path) -> NDArray[np.int16]:
    return np.asarray(Image.open(path), dtype=np.int16)


def _draw(engine: LocalEngine, requests: list[DrawRequest], out: Path, batch: int = 4) -> dict[str, NDArray[np.int16]]:
    return {drawn.key: _pixels(drawn.path) for drawn in engine.draw(requests, out, batch=batch)}


def _request(tiny: Path, **changes: object) -> DrawRequest:
    request = DrawRequest(base=str(tiny), prompt="a red circle", negative="blue", seed=5, steps=STEPS, cfg=4.0)
    return msgspec.structs.replace(request, **changes)


@pytest.mark.parametrize(
    ("sampler", "scheduler"), [("DDIM", DDIMScheduler), ("Euler a", EulerAncestralDiscreteScheduler)]
)
def test_a_picture_equals_that_of_diffusers_own_pipeline(
    tiny: Path, engine: LocalEngine, tmp_path: Path, sampler: str, scheduler: type
) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(str(tiny), safety_checker=None)
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)  # type: ignore[attr-defined]
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(5)
    image = pipeline(
        "a red circle", negative_prompt="blue", num_inference_steps=STEPS, guidance_scale=4.0, generator=generator
    ).images[0]
    request = _request(tiny, sampler=sampler)
    drawn = _draw(engine, [request], tmp_path)[request.key()]
    assert np.abs(drawn - np.asarray(image, dtype=np.int16)).max() <= 1


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "LMS" or find_spec("scipy")])
def test_every_sampler_gives_the_same_picture_in_a_batch_as_alone(
    tiny: Path, engine: LocalEngine, tmp_path: Path, sampler: str
) -> None:
    requests = [_request(tiny, sampler=sampler, seed=seed, steps=2 if "DPM2" in sampler else 4) for seed in (1, 2, 3)]
    together = _draw(engine, requests, tmp_path / "together", batch=3)
    alone = _draw(engine, requests, tmp_path / "alone", batch=1)
    assert together.keys() == alone.keys()
    assert all(np.abs(together[key] - alone[key]).max() <= 1 for key in alone)
    first, second, _ = together.values()
    assert np.abs(first - second).max() > 10


def test_the_bank_equals_weights_with_the_loras_added(base: Base, loras: list[LoraUse]) -> None:
    loaded = [load_lora(Path(use.path), base.table, base="tiny") for use in loras]
    strengths = [0.7, -0.3, 1.2]
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    text = torch.randn(2, 77, 32, generator=torch.Generator().manual_seed(1))
    bank = Bank(base.model.roots, base.modules)
    with torch.inference_mode():
        bank.install(loaded)
        bank.set_strengths("unet", [strengths, [0.0, 0.0, 0.0]])
        banked, plain = base.model.denoiser(x, 10, encoder_hidden_states=text, return_dict=False)[0]
        bank.remove()
        _, expected_plain = base.model.denoiser(x, 10, encoder_hidden_states=text, return_dict=False)[0]
        with _added(base, loaded, strengths):
            expected, _ = base.model.denoiser(x, 10, encoder_hidden_states=text, return_dict=False)[0]
    assert torch.equal(plain, expected_plain)
    assert (expected - plain).abs().max() > 0.1
    torch.testing.assert_close(banked, expected, atol=1e-5, rtol=1e-4)


class _added:  # noqa: N801 - reads as a statement
    """The naive way: ΔW written into the weights, and the old weights copied back."""

    def __init__(self, base: Base, loras: list[LoraWeights], strengths: list[float]) -> None:
        self._base, self._loras, self._strengths = base, loras, strengths
        self._kept: list[tuple[nn.Parameter, torch.Tensor]] = []

    def __enter__(self) -> None:
        for lora, strength in zip(self._loras, self._strengths, strict=True):
            for site, factors in lora.factors.items():
                weight = self._base.modules[site].weight
                assert isinstance(weight, nn.Parameter)
                self._kept.append((weight, weight.detach().clone()))
                weight.data += strength * factors.delta()

    def __exit__(self, *_: object) -> None:
        for weight, before in reversed(self._kept):
            weight.data.copy_(before)


def test_installing_and_removing_leaves_modules_and_weights_as_they_were(base: Base, loras: list[LoraUse]) -> None:
    def state() -> dict[str, bytes]:
        return {
            f"{name}.{key}": t.numpy().tobytes()
            for name, m in base.model.roots.items()
            for key, t in m.state_dict().items()
        }

    before, modules = state(), [list(root.modules()) for root in base.model.roots.values()]
    bank = Bank(base.model.roots, base.modules)
    bank.install([load_lora(Path(use.path), base.table, base="tiny") for use in loras])
    bank.set_strengths("unet", [[1.0, 1.0, 1.0]])
    bank.remove()
    assert state() == before
    assert [list(root.modules()) for root in base.model.roots.values()] == modules


def test_strengths_of_a_batch_are_each_cells_own(
    tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]
) -> None:
    def cell(a: float, b: float) -> DrawRequest:
        uses = (
            msgspec.structs.replace(loras[0], strength=a),
            msgspec.structs.replace(loras[1], strength=b, te_strength=0.0),
        )
        return _request(tiny, loras=uses)

    requests = [cell(a, b) for a in (0.0, 0.3, 0.6) for b in (0.0, 0.5)]
    together = _draw(engine, requests, tmp_path / "together", batch=6)
    alone = _draw(engine, requests, tmp_path / "alone", batch=1)
    assert all(np.abs(together[key] - alone[key]).max() <= 1 for key in alone)
    assert len({pixels.tobytes() for pixels in together.values()}) == 6
    bare = _request(tiny)
    assert np.abs(_draw(engine, [bare], tmp_path)[bare.key()] - together[cell(0, 0).key()]).max() == 0


def test_the_order_of_loras_changes_neither_key_nor_picture(
    tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]
) -> None:
    one, other = _request(tiny, loras=tuple(loras)), _request(tiny, loras=tuple(reversed(loras)))
    assert one.key() == other.key()
    first = _draw(engine, [one], tmp_path / "a")[one.key()]
    assert np.array_equal(first, _draw(engine, [other], tmp_path / "b")[one.key()])


def test_text_encoder_and_unet_strengths_act_on_their_own_parts(
    tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]
) -> None:
    def cell(unet: float, te: float) -> DrawRequest:
        return _request(tiny, loras=(msgspec.structs.replace(loras[0], strength=unet, te_strength=te),))

    requests = [cell(0, 0), cell(1, 0), cell(0, 1), cell(1, 1)]
    pictures = _draw(engine, requests, tmp_path)
    assert len({pixels.tobytes() for pixels in pictures.values()}) == 4


def test_a_text_strength_without_a_text_encoder_part_is_remarked(
    tiny: Path, base: Base, engine: LocalEngine, tmp_path: Path
) -> None:
    told: list[Progress] = []
    use = msgspec.structs.replace(
        _make_lora(base, tmp_path / "x.safetensors", 9, components=("unet",)), te_strength=0.5
    )
    list(engine.draw([_request(tiny, loras=(use,))], tmp_path, report=told.append))
    assert [p.message for p in told if p.stage == "load"] == ["x has no text-encoder part: te=0.5 does nothing"]


def test_start_and_stop_switch_a_lora_by_the_step(
    tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]
) -> None:
    def cell(start: int, stop: int | None) -> DrawRequest:
        use = msgspec.structs.replace(loras[0], te_strength=0.0, start=start, stop=stop)
        return _request(tiny, loras=(use,))

    off = _request(tiny, loras=(msgspec.structs.replace(loras[0], strength=0.0, te_strength=0.0),))
    pictures = _draw(engine, [off, cell(0, None), cell(1, None), cell(STEPS, None), cell(0, 1)], tmp_path)
    assert np.array_equal(pictures[off.key()], pictures[cell(STEPS, None).key()])
    assert len({pixels.tobytes() for pixels in pictures.values()}) == 4


@pytest.mark.parametrize(
    ("prompt", "same_as"),
    [("[a red circle:a blue square:99]", "a red circle"), ("[a red circle|a red circle]", "a red circle")],
)
def test_schedules_that_change_nothing_change_nothing(
    tiny: Path, engine: LocalEngine, tmp_path: Path, prompt: str, same_as: str
) -> None:
    one, other = _request(tiny, prompt=prompt), _request(tiny, prompt=same_as)
    pictures = _draw(engine, [one, other], tmp_path)
    assert np.array_equal(pictures[one.key()], pictures[other.key()])


@pytest.mark.parametrize(
    "prompt",
    [
        "[a red circle:a blue square:1]",
        "[a red circle|a blue square]",
        "a red circle AND a blue square",
        "a (red:1.6) circle",
        "a red BREAK circle",
    ],
)
def test_the_prompt_language_changes_the_picture(tiny: Path, engine: LocalEngine, tmp_path: Path, prompt: str) -> None:
    plain, spoken = _request(tiny), _request(tiny, prompt=prompt)
    pictures = _draw(engine, [plain, spoken], tmp_path)
    assert not np.array_equal(pictures[plain.key()], pictures[spoken.key()])


def test_and_with_one_part_of_weight_zero_is_the_other_part(tiny: Path, engine: LocalEngine, tmp_path: Path) -> None:
    one, other = _request(tiny, prompt="a red circle AND a blue square:0"), _request(tiny)
    pictures = _draw(engine, [one, other], tmp_path)
    assert np.abs(pictures[one.key()] - pictures[other.key()]).max() <= 1


def test_emphasis_modes_and_clip_skip_are_different_pictures(tiny: Path, engine: LocalEngine, tmp_path: Path) -> None:
    prompt = "a (red:1.6) circle"
    requests = [_request(tiny, prompt=prompt, emphasis=mode) for mode in ("Original", "No norm", "Interpolate")]
    requests.append(_request(tiny, prompt=prompt, clip_skip=2))
    pictures = _draw(engine, requests, tmp_path)
    assert len({pixels.tobytes() for pixels in pictures.values()}) == 4


def test_without_guidance_the_negative_prompt_does_not_matter(tiny: Path, engine: LocalEngine, tmp_path: Path) -> None:
    one, other = _request(tiny, cfg=1.0), _request(tiny, cfg=1.0, negative="")
    pictures = _draw(engine, [one, other], tmp_path)
    assert np.array_equal(pictures[one.key()], pictures[other.key()])


def test_long_prompts_are_cut_at_the_comma_before_75_tokens(base: Base) -> None:
    word = len(chunks_of("a", base.model.clips[0])[0].tokens)
    assert word == 1
    cut = chunks_of(", ".join(["a a a a"] * 20), base.model.clips[0])
    assert len(cut) == 2
    comma = base.model.clips[0].tokenizer.convert_tokens_to_ids(",</w>")
    assert cut[0].tokens[-1] == comma
    assert len(cut[0].tokens) == 75
    breaks = chunks_of("a BREAK a (a:1.5)", base.model.clips[0])
    assert [len(chunk.tokens) for chunk in breaks] == [1, 2]
    assert breaks[1].weights == (1.0, 1.5)


def test_sizes_follow_the_request_and_default_to_the_base(tiny: Path, engine: LocalEngine, tmp_path: Path) -> None:
    wide = _request(tiny, width=96)
    pictures = _draw(engine, [_request(tiny), wide], tmp_path)
    assert pictures[wide.key()].shape == (64, 96, 3)
    assert pictures[_request(tiny).key()].shape == (64, 64, 3)


def test_a_picture_on_disk_tells_its_request(
    tiny: Path, engine: LocalEngine, tmp_path: Path, loras: list[LoraUse]
) -> None:
    request = _request(tiny, loras=(msgspec.structs.replace(loras[0], strength=0.5),))
    (drawn,) = engine.draw([request, request], tmp_path)
    info, chunk = read_info(Path(drawn.path))
    assert info is not None
    assert info.prompt == "a red circle <lora:ink:0.5>"
    assert info.lora_hashes == {"ink": loras[0].sha256[:12]}
    assert chunk is not None
    assert chunk.key == request.key()
    assert msgspec.structs.replace(chunk.request, base=str(tiny), loras=request.loras) == request


def test_cancelling_between_steps_keeps_what_is_finished(tiny: Path, engine: LocalEngine, tmp_path: Path) -> None:
    told: list[Progress] = []

    def cancelled() -> bool:
        return bool(told) and told[-1].done >= 1.3

    requests = [_request(tiny, seed=seed) for seed in range(3)]
    drawn: list[str] = []
    with pytest.raises(CancelledError, match="after 1 of 3"):
        drawn.extend(d.key for d in engine.draw(requests, tmp_path, batch=1, report=told.append, cancelled=cancelled))
    assert [file.stem for file in tmp_path.iterdir()] == [requests[0].key()]
    assert told[0].data == {"step": 1, "steps": STEPS, "cells": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": "Magic"}, "sampler 'Magic' is unknown"),
        ({"steps": 0}, "steps is 0"),
        ({"width": 60}, "width is 60"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_field(
    tiny: Path, engine: LocalEngine, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        list(engine.draw([_request(tiny, **changes)], tmp_path))
    assert not list(tmp_path.iterdir())


def test_bases_that_cannot_be_drawn_say_why(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is not there"):
        load_base(tmp_path / "none")
    with pytest.raises(HubError, match="no diffusers folder"):
        load_base(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "AuraFlowPipeline"}')
    with pytest.raises(HubError, match="AuraFlowPipeline, which is of no known family"):
        load_base(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    with pytest.raises(DamagedFileError, match="cannot be loaded"):
        load_base(tmp_path)
    broken = tmp_path / "x.safetensors"
    broken.write_bytes(b"nonsense")
    with pytest.raises(DamagedFileError, match=r"x.safetensors cannot be loaded"):
        load_base(broken)


@pytest.mark.parametrize("sampler", ["Euler a", "DPM2 a"])
def test_ancestral_samplers_walk_from_a_level_without_signal_in_few_steps(sampler: str) -> None:
    config = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction", "timestep_spacing": "trailing"}
    for steps in (1, 2, 3, 4, 8):
        scheduler = make_scheduler(sampler, config, steps)
        scheduler.set_begin_index(0)
        latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            answer = torch.zeros_like(scheduler.scale_model_input(latents, t))
            latents = scheduler.step(answer, t, latents, generator=torch.Generator().manual_seed(1), return_dict=False)[
                0
            ]
        assert torch.isfinite(latents).all(), steps
