"""Four replicas under random edits, crashes, wrong clocks, copies and carriers end up equal, right, and with nothing lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from hubman.sync.records import layout
from registry import changes, collecting, projection
from tests.support.carried import CarriedReplicas
from tests.support.machines import Machine, quick_folder
from tests.support.replicas import COLLECTION, ITEM, NAMES, SHA256, Replicas
from tests.support.sealing import sealed
from tests.support.trimmed import TrimmedReplicas

EXAMPLES = int(os.environ.get("HUBMAN_SYNC_EXAMPLES", "0"))
"""For a night: ten thousand, drawn anew; else a few that are always the same."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Four machines that know one model and one collection, and have met."""
    with quick_folder(tmp_path_factory.mktemp("replicas")) as place:
        yield _met(place / "template")


@pytest.fixture
def sealed_template(tmp_path: Path) -> Iterator[Path]:
    """The same over an encrypted remote."""
    with quick_folder(tmp_path) as place, sealed("age"):
        yield _met(place / "template")


def _met(base: Path) -> Path:
    base.mkdir()
    machines = [Machine(base, name, base / "remote") for name in NAMES]
    with machines[0].registry.transaction() as db:
        projection.rebuild(db, changes.record(db, [_file()]))
    collecting.create(machines[0].registry, COLLECTION)
    for _ in range(2):
        for machine in machines:
            machine.sync()
    for machine in machines:
        for table in ("blob_queue", "journal"):
            machine.registry.db.execute(f"DELETE FROM {table}")  # noqa: S608 - two names
        machine.registry.close()
    return base


def _file() -> changes.Change:
    facts = {
        "version_id": ITEM, "name": "1.safetensors", "size": 1, "format": "safetensors", "autov2": SHA256[:10],
        "added_at": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    return ["file", SHA256, facts]


@pytest.mark.parametrize("world", [Replicas, CarriedReplicas, TrimmedReplicas])
def test_replicas_agree_and_lose_nothing(
    template: Path, world: type[Replicas], monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(world, template, EXAMPLES or 8, monkeypatch)


def test_so_do_replicas_over_an_encrypted_remote(sealed_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(Replicas, sealed_template, EXAMPLES or 4, monkeypatch)


def _run(world: type[Replicas], template: Path, examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Short tails make devices fall behind them, so that listings are read too.
    monkeypatch.setattr(layout, "TAIL", 2)
    kind = type(world.__name__, (world,), {"template": template})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            derandomize=not EXAMPLES,
            database=None,
            # To make an example smaller takes minutes, which a night has.
            phases=[Phase.generate, Phase.shrink] if EXAMPLES >= 1000 else [Phase.generate],
            print_blob=True,
        ),
    )
