"""Weights that a person asks for, and where what sync fetches comes to lie."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.sync.policies import fetching, policy
from registry import edits, library, roots
from registry.errors import HubError, NotFoundError
from tests.support.machines import Machine, WatchedStorage, quick_folder, sha256_of


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    """Of two machines the second one fetches nothing by itself."""
    with quick_folder(tmp_path) as place:
        machines = Machine(place, "a", place / "remote"), Machine(place, "b", place / "remote")
        policy.set_policy(machines[1].registry, policy.Policy(weights="none"))
        yield machines
        for machine in machines:
            machine.registry.close()


def places_of(machine: Machine) -> list[str]:
    return [row[0] for row in machine.registry.db.execute("SELECT path FROM places ORDER BY path")]


def configure(machine: Machine, **settings: str) -> None:
    lines = "".join(f'{name} = "{value}"\n' for name, value in settings.items())
    (machine.home / "config.toml").write_text(lines)


def test_one_version_comes_here_whatever_the_policy_says(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink, other = a.add_lora("ink", seed=1), a.add_lora("other", seed=2)
    a.sync()
    b.sync()
    result = fetching.fetch(b.registry, ink)
    copy = b.registry.models_folder / "ink.safetensors"
    assert (result.name, result.files, result.paths) == ("ink", 1, (str(copy),))
    assert sha256_of(copy) == sha256_of(a.registry.models_folder / "ink.safetensors")
    assert {row.id: row.where for row in library.list_models(b.registry)} == {ink: "everywhere", other: "elsewhere"}
    b.sync()
    a.sync()
    assert {row.id: row.where for row in library.list_models(a.registry)} == {ink: "everywhere", other: "here"}
    assert fetching.fetch(b.registry, ink).files == 0, "it is here"


def test_what_can_not_be_had_is_said_and_does_not_come_by_itself_later(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    policy.set_policy(a.registry, policy.Policy(upload="no"))
    ink = a.add_lora("ink")
    a.sync()
    b.sync()
    with pytest.raises(HubError, match=r"ink.safetensors is not on the remote yet: sync the machine that has it"):
        fetching.fetch(b.registry, ink)
    policy.set_policy(a.registry, policy.Policy())
    a.sync()
    b.sync(deep=True)
    assert places_of(b) == []
    assert fetching.fetch(b.registry, ink).files == 1
    edits.trash(b.registry, ink)
    with pytest.raises(HubError, match="ink is in the trash"):
        fetching.fetch(b.registry, ink)
    with pytest.raises(NotFoundError):
        fetching.fetch(b.registry, "i" + "0" * 25)


def test_a_file_of_a_root_that_no_scan_has_seen_is_adopted(pair: tuple[Machine, Machine], tmp_path: Path) -> None:
    a, b = pair
    policy.set_policy(b.registry, policy.Policy())
    a.add_lora("ink")
    a.sync()
    mine = tmp_path / "webui" / "under another name.safetensors"
    mine.parent.mkdir()
    shutil.copy(a.registry.models_folder / "ink.safetensors", mine)
    roots.add(b.registry, mine.parent)
    storage = WatchedStorage(b.remote)
    assert b.sync(storage=storage).downloaded == 0
    assert storage.counts["read_range"] == 0
    assert places_of(b) == [str(mine)]
    assert b.registry.db.execute("SELECT count(*) FROM fetched").fetchone()[0] == 0, "sync may not drop it again"


def test_files_land_where_the_settings_say(pair: tuple[Machine, Machine], tmp_path: Path) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    library.set_facts(a.registry, ink, "user", {"base_model": "../SD/XL", "creator": "Ann"})
    a.sync()
    b.sync()
    configure(b, sync_into=str(tmp_path / "away"), sync_path="{base}/{creator}/{type}-{name}")
    with pytest.raises(HubError, match="is no folder now"):
        fetching.fetch(b.registry, ink)
    (tmp_path / "away").mkdir()
    result = fetching.fetch(b.registry, ink)
    assert result.paths == (str(tmp_path / "away" / "_SD_XL" / "Ann" / "lora-ink.safetensors"),)
    configure(b, sync_path="{nothing}")
    a.add_lora("clay", seed=1)
    a.sync()
    (warning,) = b.sync().warnings
    assert "no files are fetched: there is no field {nothing} (sync_path)" in warning
    assert library.resolve(b.registry, "clay"), "what is known of it came all the same"
    configure(b, sync_into=str(tmp_path / "unplugged"))
    assert "is no folder now" in b.sync().warnings[0]


def test_no_link_leads_out_of_the_folder(pair: tuple[Machine, Machine], tmp_path: Path) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    library.set_facts(a.registry, ink, "user", {"creator": "Ann"})
    a.sync()
    b.sync()
    outside = tmp_path / "outside"
    outside.mkdir()
    into = tmp_path / "models"
    into.mkdir()
    (into / "Ann").symlink_to(outside)
    configure(b, sync_into=str(into), sync_path="{creator}/")
    with pytest.raises(HubError, match="reached through a link"):
        fetching.fetch(b.registry, ink)
    assert list(outside.iterdir()) == []
