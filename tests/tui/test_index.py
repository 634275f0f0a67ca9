"""The list follows the disk and other processes while the app is open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import library, locks, roots
from registry.database import Registry
from registry.errors import HubError
from registry.scan import scan
from tests.support.model_files import small_lora, write_model
from tests.support.screens import press, settle
from tui.app import HubmanApp
from tui.screens.library import LibraryScreen
from tui.services.index_state import IndexState, told
from tui.services.indexer import Indexer

_PATIENCE_S = 30.0


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


def _names(app: HubmanApp) -> list[str]:
    screen = app.screen
    assert isinstance(screen, LibraryScreen)
    rows = [screen.order.row(number) for number in range(len(screen.order.ids))]
    return [row.name for row in rows if row]


async def test_files_that_come_while_the_app_is_open_are_listed(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()
    with Registry(home) as registry:
        roots.add(registry, folder)
    app = HubmanApp(home, poll=0.05, watch=True)
    async with app.run_test():
        await _until(lambda: app.index.checked_at is not None)
        write_model(folder / "late.safetensors", small_lora(), seed=1)
        await _until(lambda: app.index.models == 1 and app.index.waiting == 0)
        await _until(lambda: _names(app) == ["late"])


async def test_a_watcher_that_ends_is_named_and_started_again(home: Path, tmp_path: Path) -> None:
    with Registry(home) as registry:
        roots.add(registry, tmp_path)
    (home / "watch.lock").mkdir()
    app = HubmanApp(home, poll=0.05, watch=True)
    async with app.run_test():
        await _until(lambda: "watch.lock" in app.index.problem)
        (home / "watch.lock").rmdir()
        await _until(lambda: app.index.checked_at is not None and not app.index.problem)


async def test_a_second_app_watches_when_the_first_ends(home: Path, tmp_path: Path) -> None:
    with Registry(home) as registry:
        roots.add(registry, tmp_path)
        busy = HubError("taken", "wait")
        with locks.only_one(registry, "watch", busy):
            states: list[IndexState] = []
            indexer = Indexer(home, states.append)
            running = asyncio.create_task(indexer.run())
            await _until(lambda: bool(states))
            assert states == [IndexState()], "that another one watches is no problem"
        await _until(lambda: states[-1].checked_at is not None)
        await indexer.stop()
        await running


async def test_what_another_process_says_is_shown(home: Path, models: list[str]) -> None:
    app = HubmanApp(home, poll=0.05)
    async with app.run_test() as pilot:
        await _until(lambda: len(_names(app)) == 12)
        with Registry(home) as registry:
            library.set_facts(registry, models[0], "user", {"name": "Renamed Elsewhere"})
        await _until(lambda: "Renamed Elsewhere" in _names(app))
        await pilot.pause()


async def test_marks_a_range_and_the_combo_follow_files_that_are_hashed(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    with Registry(home) as registry:
        for seed, name in enumerate("abcd"):
            write_model(folder / f"{name}.safetensors", small_lora(), seed=seed)
        roots.add(registry, folder)
        scan(registry, hashing=False)
        old = library.model_ids(registry)
    app = HubmanApp(home, poll=0)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        screen = app.screen
        assert isinstance(screen, LibraryScreen)
        await press(pilot, "x", "space", "j", "v", "j")
        assert screen.order.marks == {old[0], old[2], old[3]}
        with Registry(home) as registry:
            scan(registry)
            now = library.model_ids(registry)
        screen.reload()
        await settle(pilot)
        assert screen.order.marks == {now[0], now[2], now[3]}
        assert [(part.model, part.version) for part in app.combo.parts] == [(now[0], now[0])]
        assert screen.current is not None
        assert screen.current.id == now[3]
        await press(pilot, "k")
        assert screen.order.marks == {now[0], now[2]}
        await press(pilot, "escape")
        assert screen.order.marks == {now[0]}


_LINES = [
    (b'{"stage": "listing", "done": 3, "total": 10}', IndexState(stage="listing", done=3, total=10)),
    (b'{"models": 7, "waiting": 2, "seconds": 0.5, "problem": ""}', IndexState(7, 9.0, 0.5, 2)),
    (b'{"stage": "listing", "done": 10, "total": 10}', IndexState(done=10, total=10)),
    (b"not json", IndexState()),
    (b"[1]", IndexState()),
]


@pytest.mark.parametrize(("line", "state"), _LINES)
def test_a_line_of_the_watcher_becomes_a_state(line: bytes, state: IndexState) -> None:
    assert told(IndexState(), line, 9.0) == state


@given(st.binary(max_size=200))
def test_no_line_breaks_the_watching(line: bytes) -> None:
    assert isinstance(told(IndexState(), line, 1.0), IndexState)
