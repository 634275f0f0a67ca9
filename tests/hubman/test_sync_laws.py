"""A snapshot and what came after it say the same as the whole log, also to a machine that had read a part of that log."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubman.sync.records import state
from registry import changes, ids, projection
from registry.changes import Change
from registry.database import Registry
from tests.support.tables import SHOWN, STATE

_SHAS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(2)]
_ITEMS = [ids.item_id(sha256) for sha256 in _SHAS]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    with Registry(tmp_path_factory.mktemp("laws") / "home") as registry:
        yield registry.db


class _Author:
    """Machines that write changes, each from what it has seen: what could really stand in their logs."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.now = 0
        self.log: list[Change] = [
            ["file", sha256, {"version_id": item, "name": "a.safetensors", "size": 5, "autov2": "x",
             "format": "safetensors", "added_at": "2026"}]
            for sha256, item in zip(_SHAS, _ITEMS, strict=True)
        ]  # fmt: skip

    def stamp(self, device: int) -> str:
        self.now += 1
        return f"{self.now:016x}-{device:016x}"

    def write(self, device: int, item: str, kind: str, seen: Sequence[bool]) -> None:
        """``seen``: which of the changes so far ``device`` had read when it made the next one."""
        known = [one for one, is_seen in zip(self.log, seen, strict=False) if is_seen]
        stamp = self.stamp(device)
        if kind in {"rating", "deleted_at"}:
            value: object = self.now % 3 if kind == "rating" else (None if self.now % 2 else "2026")
            said = [one[4] for one in known if one[0] == "set" and one[1:3] == [item, f"user.{kind}"]]
            self.log += [["rem", item, f"user.{kind}", "", [max(said)]]] if said else []
            self.log.append(["set", item, f"user.{kind}", value, stamp])
        elif kind == "notes":
            dots = [one[4] for one in known if one[0] == "txt" and one[1] == item]
            self.log.append(["txt", item, "notes", f"text {self.now}", stamp, dots])
        elif kind == "tag":
            self.log.append(["add", item, "tags", "ink", stamp])
        elif kind == "untag":
            self.log.append(
                ["rem", item, "tags", "ink", [one[4] for one in known if one[0] == "add" and one[1] == item]]
            )
        else:
            self.log.append(["later", item, stamp])


_EDITS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(_ITEMS),
        st.sampled_from(["rating", "deleted_at", "notes", "tag", "untag", "unknown"]),
        st.lists(st.booleans(), min_size=14, max_size=14),
    ),
    max_size=9,
)


def _apply(db: sqlite3.Connection, made: Iterable[Change]) -> None:
    projection.rebuild(db, {item for change in made for item in changes.apply(db, change)})


def _dump(db: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    found = {name: sorted(map(tuple, db.execute(f"SELECT * FROM {name}")), key=repr) for name in (*STATE, *SHOWN)}  # noqa: S608
    found["unknown"] = sorted(map(tuple, db.execute("SELECT body FROM unknown_changes")))
    races = "SELECT item, kind, field, lost, lost_stamp, kept, kept_stamp FROM lost_edits"
    return {**found, "races": sorted(map(tuple, db.execute(races)))}


@settings(max_examples=60, deadline=None)
@given(_EDITS, st.integers(0, 14), st.integers(0, 14), st.randoms(use_true_random=False))
def test_a_snapshot_and_its_tail_are_the_whole_log(
    db: sqlite3.Connection, edits: Sequence[tuple[int, str, str, list[bool]]], at: int, read: int, random: Any
) -> None:
    author = _Author(db)
    for edit in edits:
        author.write(*edit)
    db.execute("BEGIN")
    db.execute("SAVEPOINT start")
    try:
        _apply(db, author.log)
        whole = _dump(db)
        db.execute("ROLLBACK TO start")
        _apply(db, author.log[:at])
        snapshot = [msgspec.json.decode(line) for line in state.lines(db)]
        db.execute("ROLLBACK TO start")
        _apply(db, author.log[:read])
        random.shuffle(snapshot)
        _apply(db, snapshot)
        _apply(db, author.log[at:])
        assert _dump(db) == whole
    finally:
        db.execute("ROLLBACK")
