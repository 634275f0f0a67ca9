"""Hashing waits for jobs that need the machine, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.jobs import store
from hubman.jobs.busy import HEAVY, may_hash
from hubman.jobs.kinds import KINDS
from registry.database import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "home") as opened:
        yield opened


def test_all_that_trains_or_draws_is_heavy() -> None:
    light = {"scan", "downloads", "publish", "enrich", "updates", "sync", "check", "fetch", "drop"}
    assert set(HEAVY) == set(KINDS) - light


@pytest.mark.parametrize("kind", KINDS)
def test_hashing_waits_while_a_heavy_job_runs(registry: Registry, kind: str) -> None:
    job = store.add(registry, kind, "work", {})
    asked = may_hash(registry)
    assert asked()
    store.begin(registry, job.id)
    assert asked() == (kind not in HEAVY)
    store.finish(registry, job.id, "done")
    assert asked()


def test_a_job_whose_process_died_holds_nothing_up(registry: Registry) -> None:
    job = store.add(registry, "train", "work", {})
    store.begin(registry, job.id)
    registry.db.execute("UPDATE jobs SET pid = ? WHERE id = ?", (2**22 + 1, job.id))
    assert may_hash(registry)()
