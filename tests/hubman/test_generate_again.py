"""A picture drawn again: hubman's bit for bit, another program's as near as it tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hubman import bases
from hubman.generate import studio
from hubman.generate.engine import LocalEngine
from hubman.generate.pictures import EngineNote, read_info
from hubman.generate.request import DrawRequest
from hubman.progress import silent
from registry.database import Registry
from tests.support.drawings import infotext, write_png


@pytest.fixture(scope="module")
def engine() -> Any:
    return LocalEngine()


def _again(
    registry: Registry, engine: Any, picture: Path, folder: Path, base: str = ""
) -> tuple[str, Any, tuple[str, ...]]:
    return studio.draw_again(registry, engine, picture, base, folder=folder, report=silent, should_stop=lambda: False)


def test_a_cell_of_a_batch_is_drawn_again_in_a_batch_of_the_same_size(
    registry: Registry, engine: Any, tmp_path: Path
) -> None:
    requests = [
        DrawRequest(base=str(bases.find("tiny")), prompt="a [red|blue] (circle:1.2)", negative="{x", seed=seed, steps=2, sampler="Euler a")
        for seed in (1, 7)
    ]  # fmt: skip
    _, cell = (Path(drawn.path) for drawn in engine.draw(requests, tmp_path / "grid", batch=2))
    path, likeness, remarks = _again(registry, engine, cell, tmp_path / "again")
    assert likeness.same
    assert remarks == ()
    chunk = read_info(Path(path))[1]
    assert chunk is not None
    assert (chunk.engine.batch, chunk.request.seed) == (2, 7)
    assert [file.name for file in (tmp_path / "again").rglob("*.png")] == [Path(path).name]


def test_another_programs_picture_is_drawn_as_near_as_it_tells(registry: Registry, engine: Any, tmp_path: Path) -> None:
    text = infotext("a circle <lora:gone:1>", size="64x64").replace("Steps: 20", "Steps: 2")
    path, likeness, remarks = _again(
        registry, engine, write_png(tmp_path / "x.png", {"parameters": text}), tmp_path, "tiny"
    )
    info = read_info(Path(path))[0]
    assert info is not None
    assert (info.prompt, info.negative, info.fields["Sampler"], info.fields["Seed"]) == (
        "a circle",
        "ugly",
        "Euler a",
        "1",
    )
    assert likeness is None
    assert any("gone" in remark for remark in remarks)


def test_what_changed_since_is_told() -> None:
    from hubman.generate.again import differences

    before = EngineNote(dtype="float32", device="cpu", batch=2, versions={"torch": "1"})
    now = msgspec.structs.replace(before, batch=1, versions={"torch": "2"})
    assert differences(before, before) == ()
    assert len(differences(before, now)) == 2
