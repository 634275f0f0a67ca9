"""How the engine shares itself and its memory: turns, plans, what it keeps, and that no cell sees its neighbours."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hubman import tinybase
from hubman.generate import threads
from hubman.generate.batching import MOST, Case, Figures
from hubman.generate.engine import LocalEngine
from hubman.generate.pictures import read_info
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.service.turns import PATIENCE, Turns
from hubman.train.capacity.memory import Memory
from registry.errors import HubError
from tests.support.tiny_pipeline import make_tiny_pipeline

CPU = torch.device("cpu")
SDXL = Case(kind="sdxl", family="sdxl", dtype_bytes=2, size=(1024, 1024), rows=2)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("base") / "tiny")


class Room(Memory):
    """A device with so much memory, of which nothing is used; of several sizes each is told once."""

    def __init__(self, size: int) -> None:
        super().__init__(CPU)
        self.sizes = [size]

    @property
    def free(self) -> int:
        return self.sizes.pop(0) if len(self.sizes) > 1 else self.sizes[0]

    @property
    def used(self) -> int:
        return 0


# Plans -------------------------------------------------------------------------------------------------------------


def test_the_plan_is_what_fits_twice_into_four_fifths_of_the_free_memory() -> None:
    gib = 1 << 30
    assert SDXL.estimate == pytest.approx(0.31 * gib, rel=0.01)
    assert Figures().plan(SDXL, 8 * gib, "cuda") == int(8 * 0.8 / (2 * 0.31))
    square = Case(kind="sd", family="sd15", dtype_bytes=2, size=(512, 512), rows=2)
    assert square.estimate == pytest.approx(0.13 * gib, rel=0.01)
    assert msgspec.structs.replace(square, dtype_bytes=4, rows=1).estimate == square.estimate


@given(st.integers(0, 1 << 40), st.integers(1 << 16, 1 << 34), st.integers(1, 64))
def test_after_memory_ran_out_at_most_half_as_many_are_tried(free: int, each: int, cells: int) -> None:
    figures = Figures()
    figures.measured(SDXL, each * cells, cells)
    planned = figures.plan(SDXL, free, "cuda")
    assert 1 <= planned <= MOST["cuda"]
    figures.failed(SDXL, free, planned)
    assert figures.plan(SDXL, free, "cuda") <= max(1, planned // 2)
    assert figures.plan(SDXL, 4 * free, "cuda") >= figures.plan(SDXL, free, "cuda")


def test_what_a_picture_took_is_remembered_on_this_machine(tmp_path: Path) -> None:
    Figures(tmp_path / "memory.json").measured(SDXL, 6 << 30, 2)
    assert Figures(tmp_path / "memory.json").of(SDXL) == 3 << 30
    Figures(tmp_path / "memory.json").measured(SDXL, 4 << 30, 2)
    assert Figures(tmp_path / "memory.json").of(SDXL) == 3 << 30, "the most that was seen counts"
    (tmp_path / "memory.json").write_text("{")
    assert Figures(tmp_path / "memory.json").of(SDXL) == SDXL.estimate


def test_there_is_always_a_core_to_compute_with() -> None:
    assert threads.free_cores() >= 1


# Turns -------------------------------------------------------------------------------------------------------------


def test_clients_take_turns_and_the_loaded_base_goes_first_but_not_for_ever() -> None:
    turns: Turns[str] = Turns()
    for client, work in (("a", "x1"), ("a", "x2"), ("b", "y1"), ("c", "x3")):
        turns.add(client, work)
    order = [found[1] for _ in range(6) if (found := turns.take(lambda _: True))]
    assert order == ["x1", "y1", "x3"] * 2
    order = [found[1] for _ in range(PATIENCE + 2) if (found := turns.take(lambda work: work.startswith("x")))]
    assert order.count("y1") == 1
    assert order[0] == "x1"
    turns.remove("a", "x1")
    order = [found[1] for _ in range(3) if (found := turns.take(lambda _: True))]
    assert sorted(order) == ["x2", "x3", "y1"]
    for client, work in (("a", "x2"), ("b", "y1"), ("c", "x3"), ("c", "x3")):
        turns.remove(client, work)
    assert turns.take(lambda _: True) is None


# Pictures ----------------------------------------------------------------------------------------------------------


def _pixels(path: str) -> bytes:
    return Image.open(path).tobytes()


def _lora(engine: LocalEngine, path: Path) -> LoraUse:
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(1)
    site = next(each for each in engine.load(str(tinybase.MODEL)).modules if each.path.endswith("attn2.to_v"))
    name = "lora_unet_" + site.path.replace(".", "_")
    down, up = (torch.randn(shape, generator=generator) for shape in ((4, site.shape[1]), (site.shape[0], 4)))
    save_file({f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}, path)
    return LoraUse(path=str(path), name="x", sha256="a" * 64, te_strength=0)


def test_a_cell_has_the_same_bytes_whatever_its_neighbours(tmp_path: Path) -> None:
    """And with another number of neighbours nearly so: matrix products of other sizes are summed in another order."""
    engine = LocalEngine(device=CPU)
    use = _lora(engine, tmp_path / "x.safetensors")
    cells = [
        DrawRequest(base=str(tinybase.MODEL), prompt="a red circle", seed=seed, steps=2, cfg=tinybase.GUIDANCE,
                    sampler="Euler a", loras=(msgspec.structs.replace(use, strength=strength),))
        for seed in (1, 2) for strength in (0.0, 0.4, 0.8)
    ]  # fmt: skip
    plans = {"thirds": (3, cells), "other neighbours": (3, cells[::2] + cells[1::2]), "halves": (2, cells)}
    drawn = {
        name: {each.key: _pixels(each.path) for each in engine.draw(ordered, tmp_path / name, batch=batch)}
        for name, (batch, ordered) in plans.items()
    }
    assert len(set(drawn["thirds"].values())) == len(cells)
    assert drawn["other neighbours"] == drawn["thirds"]
    for key, pixels in drawn["halves"].items():
        difference = np.frombuffer(pixels, np.uint8).astype(int) - np.frombuffer(drawn["thirds"][key], np.uint8)
        assert np.abs(difference).max() <= 1


def test_a_batch_that_does_not_fit_is_halved_and_that_is_remembered(tiny: Path, tmp_path: Path) -> None:
    def full(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[0] > 2 * 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    figures = tmp_path / "memory.json"
    for first in (4, 2):
        engine = LocalEngine(device=CPU, figures=figures, memory=Room(44 << 20))
        engine.load(str(tiny)).model.denoiser.register_forward_pre_hook(full)
        requests = [DrawRequest(base=str(tiny), prompt="a", seed=seed, steps=1) for seed in range(8)]
        assert engine.room_for(requests[0]).most == first
        drawn = list(engine.draw(requests, tmp_path / str(first)))
        batches = [chunk.engine.batch for each in drawn if (chunk := read_info(Path(each.path))[1])]
        assert batches == [2] * len(requests)


def test_text_encoders_leave_where_memory_decides_and_the_pictures_stay_the_same(tiny: Path, tmp_path: Path) -> None:
    requests = [DrawRequest(base=str(tiny), prompt="[a red:a blue:1] star", seed=seed, steps=2) for seed in range(3)]
    drawn = []
    for room in (8 << 30, 20 << 20):
        engine = LocalEngine(device=CPU, memory=Room(room))
        drawn.append({each.key: _pixels(each.path) for each in engine.draw(requests, tmp_path / str(room), batch=1)})
        assert engine.load(str(tiny)).model.is_resting == (room < 1 << 30)
    assert drawn[0] == drawn[1]


def test_a_picture_that_does_not_fit_alone_is_refused_by_name(tiny: Path, tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    engine = LocalEngine(device=CPU)
    hook = engine.load(str(tiny)).model.denoiser.register_forward_pre_hook(full)
    request = DrawRequest(base=str(tiny), prompt="a", steps=1)
    with pytest.raises(HubError, match="a picture of 64x64 does not fit into the memory"):
        list(engine.draw([request], tmp_path))
    hook.remove()
    assert len(list(engine.draw([request], tmp_path))) == 1


def test_what_was_loaded_when_memory_ran_out_is_gone_before_the_base_is_loaded_alone(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, held = torch.nn.Module.to, []
    failed: list[weakref.ref[torch.nn.Module]] = []

    def to(module: torch.nn.Module, *args: Any, **settings: Any) -> torch.nn.Module:
        if not failed:
            failed.append(weakref.ref(module))
            raise torch.OutOfMemoryError("CUDA out of memory")
        held.append(failed[0]())
        return move(module, *args, **settings)

    monkeypatch.setattr(torch.nn.Module, "to", to)
    engine = LocalEngine(device=CPU)
    engine.load(str(tiny))
    assert engine.has(str(tiny))
    assert held
    assert held[0] is None


def test_bases_stay_loaded_while_there_is_room_and_leave_in_the_order_of_use(tiny: Path, tmp_path: Path) -> None:
    other = make_tiny_pipeline(tmp_path / "other", seed=1)
    third = make_tiny_pipeline(tmp_path / "third", seed=2)
    room = Room(1 << 30)
    engine = LocalEngine(device=CPU, memory=room)
    for base in (tiny, other, tiny):
        engine.load(str(base))
    assert [engine.has(str(base)) for base in (tiny, other, third)] == [True, True, False]
    room.sizes = [0, 1 << 30]  # no room at first, and some once the one that was not used last is gone
    engine.load(str(third))
    assert [engine.has(str(base)) for base in (tiny, other, third)] == [True, False, True]
    engine.unload()
    assert not any(engine.has(str(base)) for base in (tiny, other, third))
