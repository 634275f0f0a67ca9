"""Two and three machines through one folder: what one knows, all know, weights included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.sync import lost, remotes
from hubman.sync.policies import policy
from hubman.sync.run import sync
from registry import blobs, edits, library, projection, scan
from registry.database import Registry
from registry.errors import HubError, NotFoundError, UsageError
from tests.support.machines import Machine, WatchedStorage, index, settle, sha256_of

pytestmark = pytest.mark.usefixtures("time")


@pytest.fixture(params=["folder", pytest.param("ceph", marks=pytest.mark.s3real)])
def pair(place: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Machine, Machine]]:
    bucket = request.getfixturevalue("real_s3") if request.param == "ceph" else None
    machines = Machine(place, "a", place / "remote", bucket), Machine(place, "b", place / "remote", bucket)
    yield machines
    for machine in machines:
        machine.registry.close()


def flags(machine: Machine) -> list[str]:
    return [row.flags for row in library.list_models(machine.registry)]


def test_the_second_machine_lists_the_same_and_has_the_weights(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("Ink Wash", seed=1)
    edits.edit(a.registry, ink, ink, {"rating": "4", "notes": "soft edges", "tags": "ink, style", "strength": "0.8"})
    picture = a.add_picture(ink, b"picture")
    first = a.sync()
    assert (first.uploaded, first.warnings) == (2, ())
    result = b.sync()
    assert (result.downloaded, result.warnings) == (2, ())
    assert a.shown() == b.shown()
    assert flags(b) == [""]
    copy = b.registry.models_folder / "Ink Wash.safetensors"
    assert sha256_of(copy) == sha256_of(a.registry.models_folder / "Ink Wash.safetensors")
    assert blobs.find(b.registry, picture).read_bytes() == b"picture"
    assert not list(b.registry.models_folder.glob("*.part*"))
    assert b.registry.db.execute("SELECT count(*) FROM transfers").fetchone()[0] == 0


def test_what_was_edited_before_a_remote_was_added_arrives(place: Path) -> None:
    (place / "remote").mkdir()
    with Registry(place / "a") as early:
        path = place / "models" / "x.safetensors"
        path.parent.mkdir()
        path.write_bytes(b"weights")
        version = index(early, path)
        library.update_set(early, version, "tags", add=["kept", "dropped"])
        library.update_set(early, version, "tags", remove=["dropped"])
        library.write_text(early, version, "notes", "old")
        library.write_text(early, version, "notes", "new")
    a, b = Machine(place, "a", place / "remote"), Machine(place, "b", place / "remote")
    settle([a, b])
    assert a.shown() == b.shown()
    assert a.state() == b.state()
    assert library.show(b.registry, version).tags == ("kept",)
    assert library.show(b.registry, version).notes == "new"


def test_edits_made_on_both_sides_meet(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    mine, yours = a.add_lora("mine", seed=1), b.add_lora("yours", seed=2)
    settle(pair)
    edits.edit(a.registry, yours, yours, {"rating": "5"})
    edits.edit(b.registry, mine, mine, {"rating": "3", "version_name": "v2"})
    edits.trash(a.registry, mine)
    settle(pair)
    assert a.shown() == b.shown()
    assert a.state() == b.state()
    assert library.show(a.registry, yours).rating == 5
    edits.restore(b.registry, mine)
    settle(pair)
    assert a.shown() == b.shown()
    assert library.show(a.registry, mine).rating == 3


def test_of_two_edits_of_one_field_the_later_wins_and_both_machines_show_the_other(
    pair: tuple[Machine, Machine],
) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    edits.edit(a.registry, ink, ink, {"rating": "1"})
    edits.edit(b.registry, ink, ink, {"rating": "2"})
    assert a.sync().lost_races == 0
    assert b.sync().lost_races == 1
    assert a.sync().lost_races == 1
    assert [machine.sync().lost_races for machine in pair] == [0, 0]
    assert [library.show(machine.registry, ink).rating for machine in pair] == [2, 2]
    found = [lost.unseen(machine.registry)[0] for machine in pair]
    assert [(edit.field, edit.kept, edit.lost) for edit in found] == [("rating", 2, 1)] * 2
    assert [(edit.mine.value, edit.theirs.value) for edit in found] == [(1, 2), (2, 1)]
    assert [edit.mine.device for edit in found] == [a.device, b.device]


def test_an_edit_of_what_was_seen_is_no_race(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    edits.edit(a.registry, ink, ink, {"rating": "1"})
    settle(pair)
    edits.edit(b.registry, ink, ink, {"rating": "2"})
    assert b.sync().lost_races == 0
    assert a.sync().lost_races == 0
    assert library.show(a.registry, ink).rating == 2


def test_a_tag_added_while_it_is_removed_elsewhere_stays(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    library.update_set(a.registry, ink, "tags", add=["style", "old"])
    settle(pair)
    library.update_set(a.registry, ink, "tags", remove=["style", "old"])
    library.update_set(b.registry, ink, "tags", remove=["style"])
    library.update_set(b.registry, ink, "tags", add=["style"])
    settle(pair)
    assert [library.show(machine.registry, ink).tags for machine in pair] == [("style",), ("style",)]


def test_notes_written_on_two_machines_are_both_kept_until_the_next_save(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    library.write_text(a.registry, ink, "notes", "from a")
    library.write_text(b.registry, ink, "notes", "from b")
    settle(pair)
    notes = [projection.text_of(machine.registry.db, ink, "notes") for machine in pair]
    assert notes[0] == notes[1]
    assert set((notes[0] or "").split("\n\n")) == {"from a", "from b"}
    library.write_text(b.registry, ink, "notes", "both")
    settle(pair)
    assert projection.text_of(a.registry.db, ink, "notes") == "both"


def test_the_same_file_found_on_two_machines_is_one_model_and_is_not_sent_twice(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    assert a.add_lora("one name", seed=7) == b.add_lora("another", seed=7)
    assert a.sync().uploaded == 1
    result = b.sync()
    assert (result.uploaded, result.downloaded) == (0, 0)
    settle(pair)
    assert a.state() == b.state()
    assert len(library.list_models(a.registry)) == len(library.list_models(b.registry)) == 1
    assert [path.name for path in b.registry.models_folder.iterdir()] == ["another.safetensors"]


def test_an_unindexed_file_of_the_same_content_is_adopted(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink", seed=3)
    a.sync()
    b.registry.models_folder.mkdir(parents=True)
    copy = b.registry.models_folder / "ink.safetensors"
    copy.write_bytes((a.registry.models_folder / "ink.safetensors").read_bytes())
    storage = WatchedStorage(b.place())
    assert b.sync(storage=storage).downloaded == 0
    assert storage.counts["read_range"] == 0
    assert flags(b) == [""]


def test_a_file_that_is_listed_and_not_hashed_is_adopted_under_any_name(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink", seed=3)
    a.sync()
    b.registry.models_folder.mkdir(parents=True)
    copy = b.registry.models_folder / "mine.safetensors"
    copy.write_bytes((a.registry.models_folder / "ink.safetensors").read_bytes())
    scan.scan(b.registry, hashing=False)
    library.set_facts(b.registry, library.list_models(b.registry)[0].id, "user", {"rating": 5})
    storage = WatchedStorage(b.place())
    assert b.sync(storage=storage).downloaded == 0
    assert storage.counts["read_range"] == 0
    assert [path.name for path in b.registry.models_folder.iterdir()] == ["mine.safetensors"]
    assert [(row.rating, row.flags) for row in library.list_models(b.registry)] == [(5, "")]
    settle(pair)
    assert [row.rating for row in library.list_models(a.registry)] == [5]


def test_another_file_of_the_same_name_is_left_alone(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink", seed=3)
    b.add_lora("ink", seed=4)
    settle(pair)
    assert len(list(b.registry.models_folder.iterdir())) == 2
    assert a.state() == b.state()
    assert flags(a) == flags(b) == ["", ""]


def test_a_file_larger_than_a_part_travels_in_parts(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    for machine in pair:
        machine.registry.db.execute("UPDATE remotes SET part = 1000")
    a.add_lora("big", rank=2)
    a.sync()
    parts = [entry.key for entry in a.place().entries("blob/") if ".p/" in entry.key]
    size = (a.registry.models_folder / "big.safetensors").stat().st_size
    assert len(parts) == -(-size // 1000)
    assert b.sync().downloaded == 1
    assert flags(b) == [""]


def test_three_machines_that_sync_in_any_order_agree(place: Path) -> None:
    machines = [Machine(place, name, place / "remote") for name in "abc"]
    for number, machine in enumerate(machines):
        version = machine.add_lora(f"own {number}", seed=number)
        library.update_set(machine.registry, version, "tags", add=[f"t{number}"])
        machine.sync()
    settle(reversed(machines))
    assert machines[0].shown() == machines[1].shown() == machines[2].shown()
    assert machines[0].state() == machines[1].state() == machines[2].state()


def test_changes_pass_from_one_remote_to_another_and_come_to_rest(place: Path) -> None:
    left, right = Machine(place, "left", place / "one"), Machine(place, "right", place / "two")
    middle = [Machine(place, name, place / "one") for name in ("m", "n")]
    for machine in middle:
        remotes.add(machine.registry, "other", str(place / "two"))
    ink = left.add_lora("ink")
    library.update_set(left.registry, ink, "tags", add=["style"])

    def round_trip() -> int:
        sent = left.sync().sent_changes + right.sync().sent_changes
        for machine in middle:
            sent += sum(sync(machine.registry, name).sent_changes for name in ("r", "other"))
        return sent

    for _ in range(4):
        round_trip()
    assert left.shown() == right.shown()
    assert left.state() == right.state() == middle[0].state()
    assert round_trip() == 0
    assert middle[0].registry.db.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0


def test_syncing_again_costs_the_same_few_operations_at_any_size(place: Path) -> None:
    costs = []
    for count in (2, 40):
        base = place / str(count)
        base.mkdir()
        a, b = Machine(base, "a", base / "remote"), Machine(base, "b", base / "remote")
        for number in range(count):
            a.add_lora(f"lora {number}", seed=number)
        settle([a, b])
        files = sorted(path for path in (base / "remote").rglob("*") if path.is_file())
        storage = WatchedStorage(base / "remote")
        result = a.sync(storage=storage)
        assert (result.sent_changes, result.received_changes, storage.writes) == (0, 0, [])
        assert files == sorted(path for path in (base / "remote").rglob("*") if path.is_file())
        costs.append(storage.counts)
    # Both heads, and hub.json: a folder may be that under a disk which is not mounted.
    assert costs[0] == costs[1] == {"entries": 1, "get": 3}


def test_one_edit_costs_one_batch_and_one_head(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    edits.edit(a.registry, ink, ink, {"rating": "3"})
    storage = WatchedStorage(a.place())
    a.sync(storage=storage)
    assert [key.split("/")[0] for key in storage.writes] == ["log", "heads"]
    reading = WatchedStorage(b.place())
    b.sync(storage=reading)
    assert reading.writes == []
    # A folder's listing says nothing of contents, so there every head is read, also one's own, and hub.json.
    assert reading.counts == {"entries": 1, "get": 2 if a.bucket else 4}


def test_blobs_go_before_the_batch_and_the_batch_before_the_head(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    a.sync()
    a.add_picture(a.add_lora("ink"), b"picture")
    storage = WatchedStorage(a.place())
    a.sync(storage=storage)
    assert [key.split("/")[0] for key in storage.writes] == ["blob", "blob", "log", "heads"]


def test_a_policy_without_weights_fetches_pinned_ones_only_when_asked(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink, other = a.add_lora("ink", seed=1), a.add_lora("other", seed=2)
    a.sync()
    policy.set_policy(b.registry, policy.Policy(weights="none"))
    assert b.sync().downloaded == 0
    assert flags(b) == ["R", "R"]
    policy.set_policy(b.registry, policy.Policy(weights="pinned"))
    policy.pin(b.registry, ink)
    assert b.sync().downloaded == 1
    assert {row.id: row.flags for row in library.list_models(b.registry)} == {ink: "", other: "R"}
    policy.set_policy(b.registry, policy.Policy())
    assert b.sync().downloaded == 1
    assert flags(b) == ["", ""]


def test_a_machine_that_does_not_upload_keeps_its_weights(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    policy.set_policy(a.registry, policy.Policy(upload="no"))
    a.add_lora("ink")
    assert a.sync().uploaded == 0
    result = b.sync()
    assert flags(b) == ["R"]
    assert "not on the remote yet" in result.warnings[0]
    assert b.sync().warnings == ()
    policy.set_policy(a.registry, policy.Policy())
    a.sync()
    b.sync(deep=True)
    assert flags(b) == [""]


def test_weights_of_what_is_in_the_trash_are_not_fetched(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    edits.trash(a.registry, ink)
    a.sync()
    assert b.sync().downloaded == 0
    edits.restore(a.registry, ink)
    a.sync()
    b.sync(deep=True)
    assert flags(b) == [""]


def test_a_file_that_changed_since_it_was_scanned_is_told_and_nothing_wrong_goes_up(
    pair: tuple[Machine, Machine],
) -> None:
    a, b = pair
    a.add_lora("ink")
    (a.registry.models_folder / "ink.safetensors").write_bytes(b"other")
    result = a.sync()
    assert "has changed or gone since it was scanned" in result.warnings[0]
    assert not list(a.place().entries("blob/"))
    b.sync()
    assert len(library.list_models(b.registry)) == 1


def test_a_remote_is_added_once_and_only_where_nothing_else_lies(place: Path) -> None:
    a = Machine(place, "a", place / "remote")
    with pytest.raises(UsageError, match="is the remote r already"):
        remotes.add(a.registry, "again", str(place / "remote"))
    with pytest.raises(UsageError, match="there is a remote r"):
        remotes.add(a.registry, "r", str(place / "elsewhere"))
    with pytest.raises(UsageError, match="name"):
        remotes.add(a.registry, "../r", str(place / "elsewhere"))
    with pytest.raises(UsageError, match="inside each other"):
        remotes.add(a.registry, "home", str(a.home / "remote"))
    (place / "full").mkdir()
    (place / "full" / "thesis.txt").write_text("mine")
    (place / "album" / "My Photos").mkdir(parents=True)
    with pytest.raises(HubError, match="holds other things \\(My Photos\\)"):
        remotes.add(a.registry, "album", str(place / "album"))
    assert [path.name for path in (place / "album").iterdir()] == ["My Photos"]
    with pytest.raises(HubError, match="holds other things"):
        remotes.add(a.registry, "full", str(place / "full"))
    with pytest.raises(UsageError, match="is not there"):
        remotes.add(a.registry, "gone", str(place / "no" / "such"))
    with pytest.raises(UsageError, match="keys don't belong"):
        remotes.add(a.registry, "keys", "s3://key:secret@bucket/x")


@pytest.mark.parametrize("pair", ["folder"], indirect=True)
def test_a_folder_that_is_not_mounted_is_not_taken_for_an_empty_remote(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    a.add_lora("ink")
    a.sync()
    a.remote.rename(a.remote.with_name("unplugged"))
    with pytest.raises(HubError, match="is not there"):
        a.sync()
    a.remote.mkdir()
    with pytest.raises(HubError, match="holds no remote now"):
        a.sync()
    assert list(a.remote.iterdir()) == []


def test_a_remote_can_be_forgotten_and_joined_again(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    remotes.remove(a.registry, "r")
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    with pytest.raises(NotFoundError, match="no remote"):
        a.sync()
    device = a.device
    a.join()
    settle(pair)
    assert a.device == device
    assert library.show(b.registry, ink).rating == 5
    assert a.shown() == b.shown()
