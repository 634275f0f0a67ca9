from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from registry import changes, ids, projection
from registry.changes import Change, MalformedChangeError
from registry.database import Registry
from tests.support.tables import SHOWN, STATE

_SHAS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(3)]
_ITEMS = [ids.item_id(sha256) for sha256 in _SHAS]
_MODEL = ids.civitai_model_id(7)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    with Registry(tmp_path_factory.mktemp("changes") / "home") as registry:
        yield registry.db


def _stamp(number: int) -> str:
    return f"{number // 3:016x}-{number % 3:016x}"


_STAMPS = st.integers(0, 8).map(_stamp)
_ITEM = st.sampled_from([*_ITEMS, _MODEL])
_VALUES = {
    "name": st.sampled_from(["Ink", "Wash"]), "rating": st.integers(0, 5), "base_model": st.sampled_from(["SD 1.5", "Other"]),
    "model": st.sampled_from([_MODEL, _ITEMS[0]]), "deleted_at": st.sampled_from(["2026", None]), "strength": st.just(0.5),
    "favourite": st.booleans(), "of_a_later_version": st.lists(st.integers(), max_size=2),
}  # fmt: skip
_SET = st.sampled_from(sorted(_VALUES)).flatmap(
    lambda field: st.builds(
        lambda item, source, value, stamp: ["set", item, f"{source}.{field}", value, f"s{stamp}"],
        _ITEM, st.sampled_from(["user", "civitai", "guess"]), _VALUES[field] | st.none(), _STAMPS,
    )
)  # fmt: skip
_KNOWN = st.builds(
    lambda item, field, stamps: ["rem", item, f"user.{field}", "", sorted(f"s{stamp}" for stamp in stamps)],
    _ITEM,
    st.sampled_from(sorted(_VALUES)),
    st.sets(_STAMPS, min_size=1, max_size=3),
)
"""An edit that had seen these."""


def _element(dot: str) -> tuple[str, str, str]:
    """A dot is minted once, for one addition: what it adds follows from it."""
    pick = hashlib.sha256(dot.encode()).digest()
    names = ["tags", "trigger_words"]
    return [*_ITEMS, _MODEL][pick[0] % 4], names[pick[1] % 2], "abc"[pick[2] % 3]


_ADD = _STAMPS.map(lambda dot: ["add", *_element(dot), dot])
_REM = _STAMPS.flatmap(
    lambda dot: st.lists(_STAMPS.filter(lambda other: _element(other) == _element(dot)), max_size=3).map(
        lambda dots: ["rem", *_element(dot), sorted({dot, *dots})]
    )
)


def _text(dot: str, earlier: Sequence[str]) -> Change:
    """A text with a dot of its own that replaces those of the ``earlier`` ones that stood in the same field."""
    item, field = _text_place(dot)
    replaced = sorted({f"t{other}" for other in earlier if other < dot and _text_place(other) == (item, field)})
    return ["txt", item, field, f"text of {dot}", f"t{dot}", replaced]


def _text_place(dot: str) -> tuple[str, str]:
    pick = hashlib.sha256(b"t" + dot.encode()).digest()
    return _ITEMS[pick[0] % 2], ["notes", "changelog"][pick[1] % 2]


_TXT = st.builds(_text, _STAMPS, st.lists(_STAMPS, max_size=4))
_CNT = st.builds(
    lambda item, device, total: ["cnt", item, "uses", device, total],
    _ITEM,
    st.sampled_from(["a", "b"]),
    st.integers(0, 9),
)
_FILE = st.builds(
    lambda number, name, added, rank: [
        "file", _SHAS[number],
        {"version_id": _ITEMS[number], "name": name, "size": 5, "autov2": "x", "format": "safetensors", "rank": rank,
         "added_at": added},
    ],
    st.integers(0, 2), st.sampled_from(["a.safetensors", "b.safetensors"]), st.sampled_from(["2025", "2026"]),
    st.integers(1, 2) | st.none(),
)  # fmt: skip
_HAVE = st.builds(
    lambda device, sha256, state, stamp: ["have", device, sha256, state, stamp],
    st.sampled_from(["a", "b"]), st.sampled_from(_SHAS), st.sampled_from(["present", "gone"]), _STAMPS,
)  # fmt: skip
_DEV = st.builds(
    lambda device, stamp: ["dev", device, {"name": f"box {stamp}"}, stamp], st.sampled_from(["a", "b"]), _STAMPS
)
_REC = st.builds(
    lambda item, name: ["rec", "preview", f"{item}/x", {"version_id": item, "name": name}],
    _ITEM,
    st.sampled_from(["p", "q"]),
)
_UNKNOWN = st.just(["later", 1, {"x": [2]}])
_CHANGES = st.lists(st.one_of(_SET, _KNOWN, _ADD, _REM, _TXT, _CNT, _FILE, _HAVE, _DEV, _REC, _UNKNOWN), max_size=14)


def _dump(db: sqlite3.Connection, tables: Sequence[str]) -> dict[str, list[tuple[Any, ...]]]:
    found = {name: sorted(map(tuple, db.execute(f"SELECT * FROM {name}")), key=repr) for name in tables}  # noqa: S608
    found["unknown"] = sorted(map(tuple, db.execute("SELECT body FROM unknown_changes")))
    races = "SELECT item, kind, field, lost, lost_stamp, kept, kept_stamp FROM lost_edits"
    found["races"] = sorted(map(tuple, db.execute(races)))
    return found


def _after(
    db: sqlite3.Connection, made: Sequence[Change], *, step_by_step: bool = False, together: bool = False
) -> dict[str, list[tuple[Any, ...]]]:
    """State and lists of a machine that has seen ``made`` in this order."""
    db.execute("BEGIN")
    try:
        touched: set[str] = set()
        if together:
            touched, _ = changes.apply_all(db, made)
        for change in [] if together else made:
            touched |= changes.apply(db, change)
            if step_by_step:
                projection.rebuild(db, touched)
                touched = set()
        projection.rebuild(db, touched)
        return _dump(db, [*STATE, *SHOWN])
    finally:
        db.execute("ROLLBACK")


@settings(max_examples=100, deadline=None)
@given(_CHANGES, st.randoms(use_true_random=False))
def test_every_order_leads_to_the_same_state_and_lists(db: sqlite3.Connection, made: list[Change], random: Any) -> None:
    shuffled = list(made)
    random.shuffle(shuffled)
    assert _after(db, made) == _after(db, shuffled)
    assert _after(db, made) == _after(db, shuffled, together=True)


@settings(max_examples=75, deadline=None)
@given(_CHANGES, st.randoms(use_true_random=False))
def test_seeing_a_change_again_changes_nothing(db: sqlite3.Connection, made: list[Change], random: Any) -> None:
    again = [change for change in made if random.random() < 0.5]
    assert _after(db, made) == _after(db, [*made, *again])


@settings(max_examples=75, deadline=None)
@given(_CHANGES)
def test_rebuilding_at_every_step_shows_what_rebuilding_once_shows(db: sqlite3.Connection, made: list[Change]) -> None:
    assert _after(db, made) == _after(db, made, step_by_step=True)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_KINDS = ["set", "add", "rem", "txt", "cnt", "file", "have", "dev", "rec"]
_FACTS = st.dictionaries(st.sampled_from(["version_id", "name", "size", "autov2", "format", "added_at"]), _JSON)


@settings(max_examples=100, deadline=None)
@given(
    _JSON
    | st.builds(lambda kind, rest: [kind, *rest], st.sampled_from(_KINDS), st.lists(_JSON, min_size=2, max_size=6))
    | st.builds(lambda facts: ["file", _SHAS[0], facts], _FACTS)
    | st.builds(
        lambda field, value: ["set", _ITEMS[0], f"user.{field}", value, _stamp(1)],
        st.sampled_from(sorted(_VALUES)),
        _JSON,
    )
)
@example(["set", "i", "user.rating", 1 << 70, _stamp(1)])
@example(["cnt", "i", "uses", "a", 1 << 70])
def test_whatever_another_machine_sends_is_applied_or_refused_as_malformed(
    db: sqlite3.Connection, change: object
) -> None:
    db.execute("BEGIN")
    try:
        changes.apply(db, ["file", _SHAS[0], {"version_id": _ITEMS[0], "name": "a", "size": 1, "autov2": "", "format": "x",
                                              "added_at": "2026"}])  # fmt: skip
        projection.rebuild(db, changes.apply(db, change))
    except MalformedChangeError:
        pass
    finally:
        db.execute("ROLLBACK")


def test_of_many_changes_a_malformed_one_is_handed_back_and_the_others_are_applied(db: sqlite3.Connection) -> None:
    db.execute("BEGIN")
    try:
        good = [["set", _ITEMS[0], "user.rating", number, _stamp(number)] for number in (1, 2)]
        bad = [["set", _ITEMS[0], "nobody.rating", 5, _stamp(9)], ["cnt", _ITEMS[0], "uses", "a", 1 << 70]]
        touched, malformed = changes.apply_all(db, [good[0], *bad, good[1]])
        assert (touched, malformed) == ({_ITEMS[0]}, bad)
        assert projection.best_facts(db, _ITEMS[0])["rating"] == (2, "user")
    finally:
        db.execute("ROLLBACK")


def test_an_addition_elsewhere_survives_a_removal_that_had_not_seen_it(registry: Registry) -> None:
    item = _ITEMS[0]
    with registry.transaction() as db:
        changes.apply(db, ["add", item, "tags", "ink", _stamp(1)])
        removal = changes.remove_from_set(db, item, "tags", "ink")
        changes.apply(db, ["add", item, "tags", "ink", _stamp(2)])
        changes.apply(db, removal)
    assert projection.members(registry.db, item, "tags") == ["ink"]


def test_two_texts_written_apart_are_both_kept_until_the_next_save(registry: Registry) -> None:
    item = _ITEMS[0]
    with registry.transaction() as db:
        changes.apply(db, ["txt", item, "notes", "from here", _stamp(1), []])
        changes.apply(db, ["txt", item, "notes", "from there", _stamp(2), []])
        assert projection.text_of(db, item, "notes") == "from here\n\nfrom there"
        changes.apply(db, changes.write_text(db, item, "notes", "both"))
        assert projection.text_of(db, item, "notes") == "both"


def test_the_newer_of_two_edits_wins_and_equal_stamps_decide_alike(registry: Registry) -> None:
    for first, second in ((3, 4), (4, 3)):
        with registry.transaction() as db:
            changes.apply(db, ["set", f"i{first}", "user.rating", first, _stamp(1)])
            changes.apply(db, ["set", f"i{first}", "user.rating", second, _stamp(1)])
        assert projection.best_facts(registry.db, f"i{first}")["rating"] == (4, "user")


def _edit_and_fail(db: sqlite3.Connection) -> None:
    changes.record(db, [changes.set_field(db, _ITEMS[0], "user", "rating", 3)])
    raise RuntimeError


def test_a_change_is_queued_in_the_same_transaction(registry: Registry) -> None:
    with pytest.raises(RuntimeError), registry.transaction() as db:
        _edit_and_fail(db)
    assert registry.db.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0
    assert projection.best_facts(registry.db, _ITEMS[0]) == {}


@pytest.mark.parametrize(
    ("change", "stamp"),
    [
        (["set", "i", "user.x", 1, "s"], "s"),
        (["add", "i", "tags", "a", "d"], "d"),
        (["dev", "a", {}, "s"], "s"),
        (["file", "", {}], None),
    ],
)
def test_the_stamp_of_a_change_is_found_by_its_kind(change: Change, stamp: str | None) -> None:
    assert changes.stamp_of(change) == stamp
