from __future__ import annotations

import pytest

from hubman.sync import lost
from registry import library
from tests.support.machines import Machine
from tests.support.machines import settle as sync_all
from tests.support.screens import notes_of, press, settle, text_of
from tests.support.synced import edit, pair
from tui.app import HubmanApp
from tui.screens.sync_conflicts import ConflictScreen

__all__ = ["pair"]

Pair = tuple[Machine, Machine]
MINE = "dries slowly\nand cracks"
THEIRS = "use it with water colours only"


@pytest.fixture(autouse=True)
def _in_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HubmanApp, "DEFAULT_MODE", "sync")


@pytest.fixture
def torn(pair: Pair) -> Pair:
    """Both machines rated clay, called it something and wrote notes of it, without knowing of each other."""
    one, two = pair
    edit(one, "clay", rating="3", notes=MINE)
    edit(two, "clay", rating="5", notes=THEIRS)
    sync_all(pair, 2)
    return pair


def _detail(machine: Machine) -> tuple[int, str | None]:
    found = library.show(machine.registry, library.resolve(machine.registry, "clay")[0])
    return found.rating, found.notes


async def test_both_sides_are_shown_in_full_with_who_and_when(torn: Pair) -> None:
    one, _ = torn
    app = HubmanApp(one.home, poll=0)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "conflicts 2" in text_of(app)
        await press(pilot, "e", "enter")
        assert isinstance(app.screen, ConflictScreen)
        texts = {app.screen.current.field: text_of(app)} if app.screen.current else {}
        await press(pilot, "n")
        texts |= {app.screen.current.field: text_of(app)} if app.screen.current else {}
        assert set(texts) == {"rating", "notes"}
        for text in texts.values():
            assert "workstation" in text
            assert "laptop" in text
        for line in ("dries slowly", "and cracks", "use it with water colours only"):
            assert line in texts["notes"]
        assert "Theirs is shown now" in texts["rating"]
        await press(pilot, "escape")
        assert "side by side" in text_of(app)


async def test_each_answer_goes_to_every_machine_and_is_undone(torn: Pair) -> None:
    one, two = torn
    app = HubmanApp(one.home, poll=0)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "e", "enter")
        assert isinstance(app.screen, ConflictScreen)
        if app.screen.current and app.screen.current.field == "notes":
            await press(pilot, "n")
        await press(pilot, "b")
        assert "can have only one" in notes_of(app)[-1]
        await press(pilot, "m")
        assert notes_of(app)[-1] == "rating of clay: mine is kept  (z undoes)"
        assert _detail(one)[0] == 3
        await press(pilot, "z")
        assert _detail(one)[0] == 5
        assert len(lost.unseen(one.registry)) == 2
        await press(pilot, "m")
        await press(pilot, "t")
        assert _detail(one) == (3, THEIRS)
        assert "No conflict is left" in text_of(app)
        await press(pilot, "m")
        assert notes_of(app)[-1] == "no conflict is left"
    sync_all(torn, 2)
    assert _detail(two) == (3, THEIRS)
    assert not lost.unseen(two.registry)


async def test_all_that_are_left_are_answered_at_once_and_both_texts_can_stay(torn: Pair) -> None:
    one, _ = torn
    app = HubmanApp(one.home, poll=0)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "e", "enter", "T")
        assert "2 conflicts that are left: theirs is kept" in text_of(app)
        await press(pilot, "y")
        assert _detail(one) == (5, THEIRS)
        await press(pilot, "z")
        assert len(lost.unseen(one.registry)) == 2
        await press(pilot, "escape")
        assert "conflicts 2" in text_of(app)
        await press(pilot, "e", "enter")
        assert isinstance(app.screen, ConflictScreen)
        if app.screen.current and app.screen.current.field == "rating":
            await press(pilot, "n")
        await press(pilot, "b")
        notes = _detail(one)[1] or ""
        assert MINE in notes
        assert THEIRS in notes
