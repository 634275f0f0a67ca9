"""The engine process seen from its client: pictures, progress, cancelling, errors, and death with last words."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.generate.client import Engine, EngineDiedError
from hubman.generate.grids.cells import draw_requests
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.sweep import strength_sweep
from hubman.progress import Progress
from registry.errors import CancelledError, NotFoundError, UsageError
from tests.support.tiny_pipeline import make_tiny_clip, make_tiny_pipeline


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as running:
        yield running


def _request(tiny: Path, seed: int = 0, steps: int = 2) -> DrawRequest:
    return DrawRequest(base=str(tiny), prompt="a red circle", seed=seed, steps=steps)


def test_the_client_imports_neither_torch_nor_numpy() -> None:
    modules = [
        "client",
        "sweep",
        "axes",
        "guards",
        "prompt",
        "infotext",
        "curve",
        "suggestion",
        "request",
        "samplers",
        "protocol",
    ]
    lines = [f"import hubman.generate.{module}" for module in modules]
    check = "import sys; print(sorted({'torch', 'numpy', 'diffusers', 'transformers'} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*lines, check])], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_pictures_and_progress_arrive_from_the_process(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    engine.load(str(tiny))
    requests = [_request(tiny, seed) for seed in (1, 2)]
    pictures = list(engine.draw(requests, tmp_path, report=told.append))
    assert {picture.key for picture in pictures} == {request.key() for request in requests}
    assert all(Path(picture.path).is_file() for picture in pictures)
    assert [progress.done for progress in told] == [1, 2, 2]


def test_cancelling_stops_the_drawing_and_leaves_the_engine_alive(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    with pytest.raises(CancelledError):
        list(engine.draw([_request(tiny, steps=900)], tmp_path, report=told.append, cancelled=lambda: bool(told)))
    assert engine.is_running
    assert len(list(engine.draw([_request(tiny)], tmp_path))) == 1


def test_leaving_the_iteration_early_cancels_the_rest(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    requests = [_request(tiny, 1), _request(tiny, 2, steps=900)]
    drawing = engine.draw(requests, tmp_path, batch=1)
    next(drawing)
    drawing.close()  # type: ignore[attr-defined]
    assert len(list(engine.draw([_request(tiny, 3)], tmp_path))) == 1
    assert not (tmp_path / f"{requests[1].key()}.png").exists()


def test_errors_keep_their_class_and_hint(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        list(engine.draw([_request(tmp_path / "none")], tmp_path))
    assert caught.value.hint
    with pytest.raises(UsageError, match="steps is 0"):
        list(engine.draw([_request(tiny, steps=0)], tmp_path))


def test_a_sweep_is_measured_in_the_process(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from torch import ones

    site = "lora_unet_mid_block_attentions_0_proj_in"
    file = tmp_path / "x.safetensors"
    save_file({f"{site}.lora_down.weight": ones(1, 64, 1, 1), f"{site}.lora_up.weight": ones(64, 1, 1, 1)}, file)
    request = DrawRequest(
        base=str(tiny), prompt="red", steps=2, loras=(LoraUse(path=str(file), name="x", sha256="a" * 64),)
    )
    sweep = strength_sweep(request, "x", strengths=[0.5, 1], seeds=[1, 2])
    list(draw_requests(sweep.requests(), tmp_path, engine))
    curve = engine.measure(sweep, tmp_path, clip=make_tiny_clip(tmp_path / "clip"))
    assert [point.strength for point in curve.points] == [0, 0.5, 1]
    assert curve.points[2].change > curve.points[0].change == 0
    assert all(point.clip is not None and -1 <= point.clip <= 1 for point in curve.points)


def test_a_dying_engine_leaves_its_last_words(tiny: Path, tmp_path: Path) -> None:
    script = "import sys; sys.stdin.readline(); print('out of something', file=sys.stderr); sys.exit(3)"
    with Engine([sys.executable, "-c", script]) as engine:
        with pytest.raises(EngineDiedError, match="ended with status 3: out of something") as caught:
            list(engine.draw([_request(tiny)], tmp_path))
        assert caught.value.last_words == "out of something"
        assert not engine.is_running
        with pytest.raises(EngineDiedError):
            engine.load(str(tiny))


def test_noise_on_stdout_is_skipped(tiny: Path) -> None:
    script = 'import sys; sys.stdin.readline(); print(\'hello\'); print(\'{"event":"done","id":1}\')'
    with Engine([sys.executable, "-c", script]) as engine:
        engine.load(str(tiny))
