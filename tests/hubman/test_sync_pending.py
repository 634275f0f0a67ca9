"""What waits both ways before a sync: told in words, without moving anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.cli.main import run
from hubman.sync.pending import pending
from registry import edits, library
from registry.errors import CancelledError
from tests.support.machines import Machine, WatchedStorage, quick_folder, settle


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    """Two machines in step that know the LoRAs ``ink`` and ``clay``."""
    with quick_folder(tmp_path) as base:
        one, two = (Machine(base, name, base / "remote") for name in ("one", "two"))
        for seed, name in enumerate(("ink", "clay"), 1):
            one.add_lora(name, seed=seed)
        settle((one, two), 2)
        yield one, two


def _edit(machine: Machine, name: str, **said: str) -> None:
    model, version = library.resolve(machine.registry, name)
    edits.edit(machine.registry, model, version, said)


def test_nothing_waits_after_a_sync(pair: tuple[Machine, Machine]) -> None:
    for machine in pair:
        assert pending(machine.registry).is_empty


def test_an_edit_waits_with_what_it_takes_the_place_of(pair: tuple[Machine, Machine]) -> None:
    one, two = pair
    _edit(one, "ink", rating="3")
    settle(pair, 2)
    _edit(one, "ink", rating="4")
    found = pending(one.registry, "r", asks=False)
    assert found.up.edits == ("rating of ink 3 → 4",)
    assert (found.down.changes, found.looked_at) == (0, "")
    one.sync()
    before = two.state()
    found = pending(two.registry)
    assert found.down.edits == ("rating of ink 3 → 4",)
    assert [(unread.batches, unread.device) for unread in found.unread] == [(1, one.device)]
    assert two.state() == before
    two.sync()
    assert pending(two.registry).is_empty


def test_equal_edits_of_many_stand_on_one_line(pair: tuple[Machine, Machine]) -> None:
    one, two = pair
    models = [library.resolve(one.registry, name)[0] for name in ("ink", "clay")]
    edits.tag(one.registry, models, add=["mono"], remove=[])
    edits.tag(one.registry, models[:1], add=["wash"], remove=[])
    _edit(one, "clay", notes="dries slowly")
    edits.trash(one.registry, models[1])
    one.sync()
    found = pending(two.registry).down.edits
    assert set(found) == {
        "tag mono added to 2 models", "tag wash added to ink", "notes of clay (12 characters)", "clay into the trash",
    }  # fmt: skip


def test_files_wait_with_their_sizes(pair: tuple[Machine, Machine]) -> None:
    one, two = pair
    version = one.add_lora("paper", seed=9)
    one.add_picture(version, b"picture")
    up = pending(one.registry).up
    size = (one.registry.models_folder / "paper.safetensors").stat().st_size
    assert [(file.kind, file.size) for file in up.files] == [("picture", 7), ("weights", size)]
    assert (up.file_count, up.bytes) == (2, size + 7)
    assert "paper is new (paper.safetensors)" in up.edits
    one.sync()
    down = pending(two.registry).down
    assert [(file.kind, file.size) for file in down.files] == [("picture", 0), ("weights", size)]
    assert down.files[1].name == "paper.safetensors"


def test_a_second_look_fetches_nothing_where_no_head_moved(pair: tuple[Machine, Machine]) -> None:
    one, two = pair
    _edit(one, "ink", rating="4")
    one.sync()
    first = pending(two.registry)
    storage = WatchedStorage(two.remote)
    second = pending(two.registry, before=first, storage=storage)
    assert second.down == first.down
    # Of a folder each head is read: one of them is this machine's own.
    assert storage.counts["get"] == 2
    assert not storage.writes
    two.sync()
    assert pending(two.registry, before=second).is_empty


def test_a_batch_that_has_not_arrived_whole_is_told(pair: tuple[Machine, Machine]) -> None:
    one, two = pair
    _edit(one, "ink", rating="4")
    one.sync()
    newest = max((two.remote / "log" / one.device).iterdir())
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-3])
    found = pending(two.registry)
    assert found.unread[0].problem == "has not arrived whole yet"
    assert not found.down.edits
    newest.write_bytes(whole)
    assert pending(two.registry, before=found).down.edits == ("rating of ink → 4",)


def test_a_look_can_be_given_up(pair: tuple[Machine, Machine]) -> None:
    one, two = pair
    _edit(one, "ink", rating="4")
    one.sync()
    with pytest.raises(CancelledError):
        pending(two.registry, should_stop=lambda: True)


def test_the_command_tells_it_and_moves_nothing(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = pair
    _edit(one, "ink", rating="4")
    monkeypatch.setenv("HUBMAN_HOME", str(one.home))
    assert run(["sync", "--dry-run"]) == 0
    assert "rating of ink → 4" in capsys.readouterr().out
    assert run(["sync", "--dry-run", "r", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["r"]
    assert told["up"]["edits"] == ["rating of ink → 4"]
    assert "incoming" not in told
    two.sync()
    assert library.show(two.registry, library.resolve(two.registry, "ink")[0]).rating == 0
