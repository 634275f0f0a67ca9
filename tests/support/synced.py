"""Two machines whose collections were synced through one folder, for screens to look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.sync.care import devices
from registry import edits, library
from tests.support.machines import Machine, quick_folder, settle


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    """``workstation``, with the LoRAs ink and clay, and ``laptop``, in step through the remote ``r``."""
    with quick_folder(tmp_path) as base:
        made = tuple(Machine(base, name, base / "nas") for name in ("workstation", "laptop"))
        one, two = made
        for seed, name in enumerate(("ink", "clay"), 1):
            one.add_lora(name, seed=seed)
        one.sync()
        two.sync()
        for machine, name in zip(made, ("workstation", "laptop"), strict=True):
            devices.rename(one.registry, machine.device, name)
        settle((one, two), 2)
        yield one, two
        for machine in made:
            machine.registry.close()


def edit(machine: Machine, name: str, **said: str) -> None:
    """A person's edit of the model called ``name``."""
    model, version = library.resolve(machine.registry, name)
    edits.edit(machine.registry, model, version, said)
