"""The machines of :mod:`tests.support.replicas` over a remote whose logs give way to snapshots all the time."""

from __future__ import annotations

from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hubman.sync.opening import opened
from hubman.sync.records import snapshots, trim
from tests.support.fragile import Replica
from tests.support.replicas import Replicas, replica


class TrimmedReplicas(Replicas):
    """Snapshots are old as soon as they are written, so two of them make the batches before them go."""

    @rule(name=replica, trims=st.booleans())
    def write_a_snapshot(self, name: str, trims: bool) -> None:
        def act(machine: Replica) -> None:
            self._sync(machine)
            with opened(machine.registry, "r", storage=self.storage(machine)) as session:
                snapshots.write(session)
                if trims:
                    trim.trim(session)

        with mock.patch.object(snapshots, "OLD_MS", -1_000 * 24 * 3_600_000):
            self.at(name, act)

    def clone(self) -> None:
        """No rule here: a batch of a copy has a week to be read before a snapshot stands for its number."""
