from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import clock
from registry.database import Registry
from registry.errors import HubError


def test_stamps_grow_even_when_the_wall_clock_runs_back(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = []
    for now in (1_000_000, 999_000, 5, 1_000_001):
        monkeypatch.setattr(clock, "wall_ms", lambda now=now: now)
        stamps += [clock.tick(registry.db), clock.tick(registry.db)]
    assert stamps == sorted(set(stamps))
    assert clock.stamp_ms(stamps[0]) == 1_000_000


def test_an_edit_beats_what_its_author_had_seen(registry: Registry) -> None:
    ahead = clock.wall_ms() + 3_600_000
    seen = f"{ahead << 16:016x}-{'f' * 16}"
    clock.observe(registry.db, seen)
    assert clock.tick(registry.db) > seen
    clock.observe(registry.db, f"{1:016x}-{'f' * 16}")
    assert clock.tick(registry.db) > seen


def test_a_clock_more_than_a_year_ahead_is_refused_by_name(registry: Registry) -> None:
    ahead = clock.wall_ms() + clock.TOO_FAR_AHEAD_MS + 60_000
    with pytest.raises(HubError, match="f" * 16):
        clock.observe(registry.db, f"{ahead << 16:016x}-{'f' * 16}")
    assert clock.stamp_ms(clock.tick(registry.db)) < ahead


def _tick_and_fail(db: sqlite3.Connection) -> None:
    clock.tick(db)
    raise RuntimeError


def test_a_stamp_of_an_aborted_edit_is_given_back(registry: Registry) -> None:
    before = registry.db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()[0]
    with pytest.raises(RuntimeError), registry.transaction() as db:
        _tick_and_fail(db)
    assert registry.db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()[0] == before


@given(st.integers(0, (1 << 48) - 1), st.integers(0, (1 << 16) - 1))
def test_a_stamp_tells_its_time_and_its_device(milliseconds: int, counter: int) -> None:
    stamp = f"{milliseconds << 16 | counter:016x}-{'ab' * 8}"
    assert clock.stamp_ms(stamp) == milliseconds
    assert clock.device_of(stamp) == "ab" * 8
