"""The engine's process: one for each home however many start it, replaced when it is another hubman's, missed when it dies."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hubman import tinybase
from hubman.cli.main import run
from hubman.generate.client import Engine, EngineDiedError
from hubman.generate.request import DrawRequest
from hubman.generate.service import asking, reaching
from hubman.generate.service.endpoint import Endpoint
from hubman.generate.service.identity import Identity
from hubman.progress import Progress, never
from tests.support.engines import serving

REQUEST = DrawRequest(base=str(tinybase.MODEL), prompt="a red circle", steps=1, sampler="DDIM")


def _pid(home: Path) -> int:
    state = asking.state(home)
    return state.pid if state else 0


def _killing(home: Path, times: int) -> Callable[[], bool]:
    """Asked whether to cancel, it says no, and kills the engine the first ``times``, before that can do anything."""
    killed: list[int] = []

    def kill() -> bool:
        pid = Endpoint(home).holder()
        if len(killed) < times and pid and pid not in killed:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        return False

    return kill


def test_two_that_start_it_at_once_get_one_engine(home: Path) -> None:
    def start(_: int) -> int:
        with Engine(home) as engine:
            engine.unload()
            return _pid(home)

    with ThreadPoolExecutor(4) as pool:
        pids = set(pool.map(start, range(4)))
    assert len(pids) == 1
    assert pids.isdisjoint({0, os.getpid()})
    assert asking.stop(home)
    assert asking.state(home) is None


def test_an_engine_of_another_hubman_is_replaced(home: Path) -> None:
    told: list[Progress] = []
    with serving(home, me=Identity("0.0.1", "old")) as old, Engine(home) as engine:
        assert _pid(home) == os.getpid()
        reaching.reach(Endpoint(home), "test", never, report=told.append)[0].close()
        assert "another hubman" in told[0].message
        engine.unload()
        assert not old.is_alive()
        assert _pid(home) not in {0, os.getpid()}
        assert asking.stop(home)


def test_a_killed_engine_is_started_again_once(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[Progress] = []
    with Engine(home) as engine:
        (drawn,) = engine.draw([REQUEST], tmp_path, report=told.append, cancelled=_killing(home, 1))
        assert Path(drawn.path).is_file()
        assert any("it is started again" in progress.message for progress in told)
        assert run(["engine", "--json"]) == 0
        state = json.loads(capsys.readouterr().out)
        assert [base["name"] for base in state["bases"]] == [tinybase.MODEL.name]
        assert run(["engine"]) == 0
        assert "base     " in capsys.readouterr().out
        with pytest.raises(EngineDiedError, match="the engine process ended"):
            list(engine.draw([REQUEST], tmp_path, cancelled=_killing(home, 2)))
    assert run(["engine", "stop"]) == 0
    assert run(["engine"]) == 0
    assert capsys.readouterr().out.endswith("no engine runs; it starts with the next picture\n")


def test_one_that_cannot_start_leaves_its_last_words(home: Path, tmp_path: Path) -> None:
    script = "import sys; print('out of something', file=sys.stderr); sys.exit(3)"
    with (
        Engine(home, command=[sys.executable, "-c", script]) as engine,
        pytest.raises(EngineDiedError, match="ended with status 3: out of something") as caught,
    ):
        list(engine.draw([REQUEST], tmp_path))
    assert caught.value.last_words == "out of something"
