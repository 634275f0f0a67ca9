"""The engine seen from its clients: pictures, progress, previews, fair turns, cancelling, errors, and who is there."""

from __future__ import annotations

import io
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hubman import tinybase
from hubman.generate.client import Engine
from hubman.generate.grids.cells import draw_requests
from hubman.generate.protocol import Preview
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.service import asking
from hubman.generate.service.endpoint import Endpoint
from hubman.generate.sweep import strength_sweep
from hubman.jobs.handlers import making
from hubman.jobs.handlers.previewing import JobEngine
from hubman.jobs.records import PREVIEWS
from hubman.progress import Progress, silent
from registry.database import Registry
from registry.errors import CancelledError, HubError, NotFoundError, UsageError
from tests.support.engines import serving
from tests.support.jobs import fake_job
from tests.support.tiny_pipeline import make_tiny_clip, make_tiny_pipeline


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def engine_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    with serving(home):
        yield home


@pytest.fixture
def engine(engine_home: Path) -> Iterator[Engine]:
    with Engine(engine_home, name="test") as connected:
        yield connected


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
        "grids.sheet",
        "grids.cells",
        "request",
        "samplers",
        "protocol",
        "service.asking",
        "server",
    ]
    lines = [f"import hubman.generate.{module}" for module in modules]
    check = "import sys; print(sorted({'torch', 'numpy', 'diffusers', 'transformers'} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*lines, check])], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_pictures_and_progress_arrive(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    engine.load(str(tiny))
    requests = [_request(tiny, seed) for seed in (1, 2)]
    pictures = list(engine.draw(requests, tmp_path, report=told.append))
    assert {picture.key for picture in pictures} == {request.key() for request in requests}
    assert all(Path(picture.path).is_file() for picture in pictures)
    assert [progress.done for progress in told] == [1, 2, 2]


def test_previews_become_the_picture(engine: Engine, tmp_path: Path) -> None:
    seen: dict[str, Preview] = {}
    requests = [
        DrawRequest(base=str(tinybase.MODEL), prompt=f"a large {colour} circle on a black background", steps=8,
                    cfg=tinybase.GUIDANCE, sampler="DDIM")
        for colour in ("red", "blue")
    ]  # fmt: skip
    pictures = list(engine.draw(requests, tmp_path, preview=lambda preview: seen.update({preview.key: preview})))
    for picture in pictures:
        last = seen[picture.key]
        assert last.step == last.steps == 8
        small = Image.open(io.BytesIO(last.png))
        drawn = Image.open(picture.path).resize(small.size, Image.Resampling.BOX)
        a, b = (np.asarray(each.convert("RGB"), np.float64).ravel() for each in (small, drawn))
        a, b = a - a.mean(), b - b.mean()
        assert a @ b > 0.8 * np.linalg.norm(a) * np.linalg.norm(b)
        assert len(last.png) < 20_000


def test_a_job_leaves_previews_until_their_pictures_are_there(engine_home: Path, tiny: Path, tmp_path: Path) -> None:
    with Registry(tmp_path / "jobs") as registry:
        job = fake_job(registry, "generate", "draw", {"prompt": "a"})
    previews = Path(job.folder) / PREVIEWS
    seen: list[set[str]] = []

    def look(_: Progress) -> None:
        seen.append({path.stem for path in previews.glob("*.png")})

    requests = [_request(tiny, seed, steps=12) for seed in (1, 2)]
    with JobEngine(engine_home, job) as engine:
        for picture in engine.draw(requests, tmp_path, batch=1, report=look):
            assert picture.key not in {path.stem for path in previews.glob("*.png")}
    assert set().union(*seen) <= {request.key() for request in requests}
    assert any(seen)
    assert not previews.exists()


def test_cancelling_stops_the_drawing_and_leaves_the_engine_alive(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    with pytest.raises(CancelledError):
        list(engine.draw([_request(tiny, steps=900)], tmp_path, report=told.append, cancelled=lambda: bool(told)))
    assert engine.is_connected
    assert len(list(engine.draw([_request(tiny)], tmp_path))) == 1


def test_what_waits_is_given_up_at_once(engine: Engine, engine_home: Path, tiny: Path, tmp_path: Path) -> None:
    seen: list[list[tuple[str, bool]]] = []

    def give_up(_: Progress) -> None:
        if seen:
            return
        with Engine(engine_home, name="other") as other, pytest.raises(CancelledError, match="before it began"):
            list(other.draw([_request(tiny, 2)], tmp_path, cancelled=lambda: True))
        state = asking.state(engine_home)
        seen.append([(each.client, each.running) for each in state.waiting] if state else [])

    with pytest.raises(CancelledError):
        list(engine.draw([_request(tiny, 1, steps=900)], tmp_path, report=give_up, cancelled=lambda: bool(seen)))
    assert seen == [[("test", True)]]


def test_leaving_the_iteration_early_cancels_the_rest(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    requests = [_request(tiny, 1), _request(tiny, 2, steps=900)]
    drawing = engine.draw(requests, tmp_path, batch=1)
    next(drawing)
    drawing.close()  # type: ignore[attr-defined]
    assert len(list(engine.draw([_request(tiny, 3)], tmp_path))) == 1
    assert not (tmp_path / f"{requests[1].key()}.png").exists()


def test_a_client_that_leaves_gives_up_its_work_but_not_its_pictures(
    engine: Engine, engine_home: Path, tiny: Path, tmp_path: Path
) -> None:
    requests = [_request(tiny, 1), _request(tiny, 2, steps=900)]
    with Engine(engine_home) as gone:
        next(gone.draw(requests, tmp_path, batch=1))
    assert len(list(engine.draw([_request(tiny, 3)], tmp_path))) == 1
    assert (tmp_path / f"{requests[0].key()}.png").exists()
    assert not (tmp_path / f"{requests[1].key()}.png").exists()


def test_clients_take_turns_and_can_be_seen(engine: Engine, engine_home: Path, tiny: Path, tmp_path: Path) -> None:
    long = [_request(tiny, seed, steps=12) for seed in range(4)]
    drawing = engine.draw(long, tmp_path, batch=1)
    next(drawing)
    with Engine(engine_home, name="other") as other:
        assert len(list(other.draw([_request(tiny)], tmp_path))) == 1
    state = asking.state(engine_home)
    assert state is not None
    (left,) = state.waiting
    assert (left.client, left.work, left.total) == ("test", "draw", len(long))
    assert left.done < len(long)
    assert state.device == "cpu"
    assert str(tiny) in {base.path for base in state.bases}
    assert len(list(drawing)) == len(long) - 1


def test_errors_keep_their_class_and_hint(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        list(engine.draw([_request(tmp_path / "none")], tmp_path))
    assert caught.value.hint
    with pytest.raises(UsageError, match="steps is 0"):
        list(engine.draw([_request(tiny, steps=0)], tmp_path))
    with pytest.raises(UsageError, match="cfg is nan"):
        list(engine.draw([DrawRequest(base=str(tiny), prompt="", cfg=float("nan"))], tmp_path))


def test_a_sweep_is_measured_in_the_engine(engine: Engine, tiny: Path, tmp_path: Path) -> None:
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
    with pytest.raises(CancelledError):
        engine.measure(sweep, tmp_path, cancelled=lambda: True)
    curve = engine.measure(sweep, tmp_path, clip=make_tiny_clip(tmp_path / "clip"))
    assert [point.strength for point in curve.points] == [0, 0.5, 1]
    assert curve.points[2].change > curve.points[0].change == 0
    assert all(point.clip is not None and -1 <= point.clip <= 1 for point in curve.points)


def test_a_training_that_begins_has_the_memory_to_itself(tmp_path: Path, tiny: Path) -> None:
    with Registry(tmp_path / "home") as registry, serving(registry.home), Engine(registry.home) as engine:
        engine.load(str(tiny))
        job = fake_job(registry, "train", "t", {"recipe": str(tmp_path / "none.toml")})
        with pytest.raises(HubError):
            making.train(registry, job, silent, lambda: False)
        state = asking.state(registry.home)
        assert state is not None
        assert state.bases == ()


def test_a_stopped_engine_says_so_to_those_who_wait(tmp_path: Path, tiny: Path) -> None:
    with serving(tmp_path / "home") as thread, Engine(tmp_path / "home") as engine:
        drawing = engine.draw([_request(tiny, 1), _request(tiny, 2, steps=900)], tmp_path, batch=1)
        drawn = Path(next(drawing).path)
        asking.stop(tmp_path / "home")
        with pytest.raises(HubError, match="the engine was stopped"):
            next(drawing)
        thread.join()
        assert drawn.is_file()
        assert asking.state(tmp_path / "home") is None


def test_an_engine_that_nobody_wants_or_finds_ends(tmp_path: Path) -> None:
    with serving(tmp_path / "idle", idle=0.01) as thread:
        thread.join()
    with serving(tmp_path / "gone") as thread:
        (tmp_path / "gone" / "engine" / "socket").unlink()
        thread.join()


def test_only_the_owner_can_connect_also_where_the_home_has_a_long_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    for home in (Path("x"), Path(*["long" * 20] * 3)):
        endpoint = Endpoint(tmp_path / home)
        with serving(endpoint.home):
            place = Path(endpoint.address.read_text())
            assert stat.S_IMODE(place.stat().st_mode) == 0o600
            assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
            assert asking.state(endpoint.home) is not None
        assert not place.exists()
    (folder,) = (tmp_path / "run").iterdir()
    folder.chmod(0o755)
    with pytest.raises(HubError, match="can be used by others"):
        Endpoint(tmp_path / Path(*["other" * 20] * 3)).listen()
