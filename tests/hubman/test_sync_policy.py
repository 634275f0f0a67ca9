"""What a machine's policy makes it fetch, keep and let go of."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubman.sync.policies import fetching, keeping, letting_go, policy, removing
from hubman.sync.policies.policy import Policy
from hubman.sync.queue import Wanted
from registry import blobs, changes, clock, edits, library, previews, scan, views
from registry.errors import HubError, UsageError
from tests.support.machines import Machine, WatchedStorage, settle


def here(machine: Machine) -> set[str]:
    """The names of the models that lie on this machine, by its list and by its folder."""
    listed = {row.name for row in library.list_models(machine.registry, "where:here")}
    assert listed == {path.stem for path in machine.registry.models_folder.glob("**/*.safetensors")}
    return listed


def obeys(machine: Machine, **parts: object) -> None:
    policy.set_policy(machine.registry, Policy(**parts))  # type: ignore[arg-type]


def one_size(machine: Machine) -> int:
    (size,) = machine.registry.db.execute("SELECT max(size) FROM files").fetchone()
    return int(size)


# the record -----------------------------------------------------------------------------------------------------------


def test_the_first_version_s_policies_are_read_and_each_unknown_part_is_the_default() -> None:
    assert policy.read({"weights": "pinned", "previews": "none", "upload": "no"}) == Policy(
        weights="pinned", previews="none", upload="no"
    )
    newer = {
        "weights": "least",
        "previews": {"at": 3},
        "limit": "much",
        "window": "25:00-01:00",
        "rate_up": 7,
        "more": 1,
    }
    assert policy.read(newer) == Policy(rate_up=7)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(
    st.sampled_from([*Policy.__struct_fields__, "other"]), one)))  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_whatever_another_machine_says_is_a_policy(said: object) -> None:
    found = policy.read(said)
    assert policy.read(msgspec.to_builtins(found)) == found


@pytest.mark.parametrize(
    "wrong",
    [{"weights": "some"}, {"weights": "query:rating:>=x"}, {"limit": -1}, {"window": "1-7"}, {"rate_up": 0}, {"previews": ""}],
)  # fmt: skip
def test_a_policy_that_makes_no_sense_is_refused(pair: tuple[Machine, Machine], wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        obeys(pair[0], **wrong)
    assert policy.of_device(pair[0].registry.db, pair[0].device) == Policy()


def test_any_machine_changes_a_policy_and_its_own_machine_obeys(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink")
    b.sync()
    a.sync()
    policy.set_policy(a.registry, Policy(weights="none", previews="none"), b.device)
    a.sync()
    b.sync()
    assert here(b) == set()
    policy.set_policy(a.registry, Policy(), b.device)
    a.sync()
    b.sync()
    assert here(b) == {"ink"}
    with pytest.raises(HubError):
        policy.set_policy(a.registry, Policy(), "0" * 16)


def test_a_machine_that_was_updated_does_not_take_back_what_was_said_of_it(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    settle(pair)
    policy.set_policy(a.registry, Policy(weights="none"), b.device)
    a.sync()
    monkeypatch.setattr("hubman.__version__", "99")
    settle([b, a])
    assert (
        policy.of_device(a.registry.db, b.device) == policy.of_device(b.registry.db, b.device) == Policy(weights="none")
    )


# by query -------------------------------------------------------------------------------------------------------------


def test_a_model_that_begins_to_match_comes_with_the_next_sync(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink, other = a.add_lora("ink", seed=1), a.add_lora("other", seed=2)
    obeys(b, weights="query:rating:>=4 -tag:old")
    settle(pair)
    assert here(b) == set()
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    settle(pair)
    assert here(b) == {"ink"}
    edits.edit(b.registry, other, other, {"rating": "4"})
    b.sync()
    assert here(b) == {"ink", "other"}
    edits.edit(b.registry, ink, ink, {"tags": "old"})
    settle(pair)
    assert here(b) == {"ink", "other"}, "what is here stays while there is room"


def test_one_file_is_judged_as_all_are(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink, other = a.add_lora("ink", seed=1), a.add_lora("other", seed=2)
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    obeys(b, weights="none")
    settle(pair)
    rows = b.registry.db.execute("SELECT sha256 FROM files").fetchall()
    policy.pin(b.registry, other)
    for weights in ("all", "pinned", "none", "query:rating:>=4", "query:@unknown", "query:is:fav"):
        asked = Policy(weights=weights)
        one_by_one = {row[0] for row in rows if policy.wants(b.registry, b.device, asked, Wanted(row[0], "weights"))}
        assert one_by_one == set(keeping.plan(b.registry, asked).coming), weights


def test_a_query_that_this_machine_can_not_read_fetches_nothing(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink")
    b.sync()
    a.sync()
    views.save(a.registry, "best", "ink")
    with a.registry.transaction() as db:
        facts = {"name": "b", "policy": {"weights": "query:newer:field"}, "app_version": "99"}
        changes.record(db, [["dev", b.device, facts, clock.tick(db)]])
    settle(pair)
    assert here(b) == set()
    policy.set_policy(a.registry, Policy(weights="query:@best"), b.device)
    settle(pair)
    assert here(b) == {"ink"}


def test_a_look_at_all_is_taken_only_when_something_changed(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink")
    obeys(b, weights="query:ink")
    settle(pair)
    asked: list[str] = []
    b.registry.db.set_trace_callback(asked.append)
    b.sync()
    assert not [sql for sql in asked if "listing" in sql]
    edits.edit(b.registry, ink := library.model_ids(b.registry)[0], ink, {"rating": "3"})
    b.sync()
    assert [sql for sql in asked if "listing l" in sql]


def test_of_thumbs_the_first_picture_of_each_version_comes(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    first, second = (a.add_picture(ink, content) for content in (b"one", b"two"))
    previews.choose_cover(a.registry, ink, second)
    obeys(b, **msgspec.to_builtins(policy.PRESETS["laptop"]))
    settle(pair)
    assert here(b) == set()
    assert [blobs.path_of(b.registry, picture).exists() for picture in (first, second)] == [False, True]
    previews.choose_cover(a.registry, ink, first)
    settle(pair)
    assert blobs.path_of(b.registry, first).exists()
    for one in (first, second):
        blobs.path_of(b.registry, one).unlink()
    laptop = policy.PRESETS["laptop"]
    asked = [one for one in (first, second) if policy.wants(b.registry, b.device, laptop, Wanted(one, "picture"))]
    assert asked == [first]


# by size --------------------------------------------------------------------------------------------------------------


def test_over_the_limit_the_oldest_use_goes_first_and_pins_stay(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    names = {name: a.add_lora(name, seed=number) for number, name in enumerate(("one", "two", "three", "four"))}
    a.sync()
    obeys(b, weights="pinned")
    b.sync()
    for name in ("one", "two", "three"):
        fetching.fetch(b.registry, names[name])
    policy.pin(b.registry, names["one"])
    obeys(b, weights="pinned", limit=2 * one_size(b))
    result = b.sync()
    assert (here(b), result.let_go) == ({"one", "three"}, 1)
    assert result.let_go_bytes == one_size(b)
    fetching.fetch(b.registry, names["four"])
    assert here(b) == {"one", "four"}
    settle(pair)
    assert {row.name: row.where for row in library.list_models(a.registry)} == {
        "one": "everywhere", "two": "here", "three": "here", "four": "everywhere",
    }  # fmt: skip


def test_what_does_not_fit_does_not_push_out_what_fits(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    for number in range(5):
        a.add_lora(f"lora {number}", seed=number)
    a.sync()
    obeys(b, limit=3 * one_size(a))
    result = b.sync()
    kept = here(b)
    assert len(kept) == 3
    assert "2 files stay elsewhere" in result.warnings[0]
    for _ in range(3):
        settle(pair, rounds=1, deep=True)
        assert here(b) == kept


def test_a_file_that_sync_did_not_bring_is_never_let_go_of_unasked(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    b.add_lora("mine", seed=1)
    a.add_lora("ink", seed=2)
    settle(pair)
    assert here(b) == {"mine", "ink"}
    obeys(b, limit=1)
    b.sync()
    assert here(b) == {"mine"}


# never the last copy --------------------------------------------------------------------------------------------------


@pytest.fixture
def full(pair: tuple[Machine, Machine]) -> Machine:
    """The second machine, with a model that sync brought and no room for it since."""
    a, b = pair
    a.add_lora("ink")
    settle(pair)
    assert here(b) == {"ink"}
    obeys(b, limit=1)
    return b


def blob_of(machine: Machine) -> Path:
    (found,) = [path for path in machine.remote.glob("blob/*/*") if path.is_file()]
    return found


def test_it_stays_when_the_remote_lost_it_a_moment_ago(full: Machine) -> None:
    blob = blob_of(full)

    def lose(operation: str, key: str) -> None:
        if operation == "size" and key.startswith("blob/"):
            blob.unlink(missing_ok=True)

    result = full.sync(storage=WatchedStorage(full.remote, before=lose))
    assert here(full) == {"ink"}
    assert result.warnings[0] == "ink.safetensors is not on r, so it stays here: sync first"


def test_it_stays_when_what_is_there_has_another_size(full: Machine) -> None:
    blob = blob_of(full)
    blob.write_bytes(blob.read_bytes()[:-1])
    assert "has the wrong size on r" in full.sync().warnings[0]
    assert here(full) == {"ink"}


def test_it_stays_when_it_is_no_longer_what_was_fetched(full: Machine) -> None:
    path = full.registry.models_folder / "ink.safetensors"
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(1, 1))
    assert "has changed since it was scanned" in full.sync().warnings[0]
    assert here(full) == {"ink"}


def test_a_large_one_stays_unless_it_was_read_whole_within_ninety_days(
    full: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letting_go, "LARGE", 100)
    full.registry.db.execute("UPDATE fetched SET at = '2020-01-01T00:00:00.000Z'")
    assert "nobody read ink.safetensors whole on r for 90 days" in full.sync().warnings[0]
    assert here(full) == {"ink"}
    sql = "INSERT INTO proved SELECT remote, 'blob/' || sha256, 1, strftime('%Y-%m-%dT%H:%M:%fZ') FROM fetched"
    full.registry.db.execute(sql)
    full.sync(deep=True)
    assert here(full) == set()


def test_letting_go_keeps_all_that_is_known_and_it_comes_back_whole(full: Machine) -> None:
    ink = library.model_ids(full.registry)[0]
    edits.edit(full.registry, ink, ink, {"rating": "4"})
    before = full.shown()
    full.sync()
    assert here(full) == set()
    assert not list(full.registry.home.rglob("*.safetensors"))
    obeys(full, weights="all")
    full.sync()
    assert here(full) == {"ink"}
    assert full.shown() == before


# by hand --------------------------------------------------------------------------------------------------------------


def test_what_a_person_drops_goes_and_stays_away_until_it_is_fetched(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink", seed=1)
    a.add_lora("other", seed=2)
    settle(pair)
    result = removing.drop(a.registry, [ink])
    assert (result.files, result.problems) == (1, ())
    scan.scan(a.registry)
    settle(pair)
    a.sync(deep=True)
    assert here(a) == {"other"}
    assert {row.name: row.where for row in library.list_models(b.registry)} == {"ink": "here", "other": "everywhere"}
    obeys(a, limit=1 << 40)
    settle(pair)
    assert here(a) == {"other"}
    fetching.fetch(a.registry, ink)
    assert here(a) == {"ink", "other"}


def test_what_only_the_remote_has_is_elsewhere_for_all(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    obeys(b, weights="none")
    ink = a.add_lora("ink")
    settle(pair)
    removing.drop(a.registry, [ink])
    settle(pair)
    assert [row.where for machine in pair for row in library.list_models(machine.registry)] == ["elsewhere"] * 2
    fetching.fetch(b.registry, ink)
    assert here(b) == {"ink"}


def test_nothing_is_dropped_that_no_remote_has(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    obeys(a, upload="no")
    ink = a.add_lora("ink")
    a.sync()
    result = removing.drop(a.registry, [ink])
    assert (result.files, result.problems) == (0, ("ink.safetensors is not on r, so it stays here: sync first",))
    assert here(a) == {"ink"}
