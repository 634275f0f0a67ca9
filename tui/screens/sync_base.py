"""What the parts of the Sync screen know of it, each of which does one thing more.

``SyncBase`` (what is known, and the reading of it) ← ``SyncWork`` (jobs) ← ``SyncPlaces`` (remotes and machines) ← ``SyncScreen``
(what is shown).
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from typing import TYPE_CHECKING

from registry.errors import CancelledError
from tui.screens.base import HubScreen
from tui.sync_state import State
from tui.sync_transfers import KINDS, Transfers
from tui.widgets.sync_lists import DeviceList, RemoteList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hubman.jobs.records import Job
    from hubman.sync.care.devices import Device
    from hubman.sync.pending import Pending
    from hubman.sync.remote import Remote
    from registry.database import Registry
    from tui.services.watch import JobView, Snapshot


class SyncBase(HubScreen):
    """What is here is read anew whenever anybody wrote to it; a remote is asked when it comes under the cursor."""

    state: State = State()
    is_loaded: bool = False
    moving: dict[str, Transfers]
    """Files under way, by job."""
    pendings: dict[str, Pending]
    """What waits, by remote, as far as it was looked at."""
    problems: dict[str, str]
    """Why a remote could not be asked at the last look."""
    looking: str = ""
    """The remote that is being asked."""
    _stop: threading.Event
    _ended: frozenset[str]

    def __init__(self) -> None:
        super().__init__()
        self.moving, self.pendings, self.problems = {}, {}, {}
        self._stop = threading.Event()
        self._ended = frozenset()

    # reading ------------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read this machine's side anew."""
        self.in_thread(_read, self._read, group="state")

    def _read(self, state: State) -> None:
        self.state, self.is_loaded = state, True
        self.show_state()
        self.count_waiting()

    def count_waiting(self) -> None:
        """Tell again what waits with the remote under the cursor; ask it only where that was not done yet."""
        remote = self.current
        if remote is None:
            return
        name, before = remote.name, self.pendings.get(remote.name)

        def done(found: Pending) -> None:
            self.pendings[name] = found
            self.show_waiting()
            if not found.looked_at and name not in self.problems and not self.running_of(name):
                self.look_at(remote)

        self.in_thread(lambda registry: _here(registry, name, before), done, group="waiting", failed=self.complain)

    def look_at(self, remote: Remote) -> None:
        """Ask the remote what has come in; a look that is under way is given up."""
        self._stop.set()
        self._stop = stop = threading.Event()
        name, before = remote.name, self.pendings.get(remote.name)
        self.looking = name

        def done(found: Pending | None) -> None:
            if found is None:
                return
            self.pendings[name] = found
            self.problems.pop(name, None)
            ended()

        def failed(reason: str) -> None:
            self.problems[name] = reason
            ended()

        def ended() -> None:
            self.looking = ""
            self.show_waiting()

        self.in_thread(lambda registry: _asked(registry, name, before, stop), done, group="look", failed=failed)
        self.show_waiting()

    def on_unmount(self) -> None:
        self._stop.set()

    def show_changes(self) -> None:
        self.reload()

    # jobs ---------------------------------------------------------------------------------------------------------

    def show_jobs(self, snapshot: Snapshot) -> None:
        ours = [view for view in snapshot.views if view.job.kind in {*KINDS, "check", "drop"}]
        ended = frozenset(view.job.id for view in ours if view.job.ended)
        for view in ours:
            if view.job.id in ended - self._ended and self._ended:
                self.problems.pop(str(view.job.request.get("remote")), None)
        if ended - self._ended and self.is_loaded:
            self._look_after(ours)
        self._ended = ended
        self._follow(ours)
        self.show_state()

    def _look_after(self, ours: Sequence[JobView]) -> None:
        """A sync that has ended changed both sides."""
        for view in ours:
            if view.job.ended and view.job.id not in self._ended:
                self.pendings.pop(str(view.job.request.get("remote")), None)
        self.reload()

    def _follow(self, ours: Sequence[JobView]) -> None:
        """Read how far the files are: of those jobs that run, else of the last one that has ended."""
        movers = [view.job for view in ours if view.job.kind in KINDS]
        wanted = [job for job in movers if not job.ended] or movers[:1]
        before = {job.id: self.moving.get(job.id, Transfers()) for job in wanted}
        if wanted:
            self.in_thread(
                lambda _: _followed(wanted, before), self._followed, group="transfers", failed=lambda _: None
            )

    def _followed(self, found: dict[str, Transfers]) -> None:
        self.moving = found
        self.show_transfers()

    def views_of(self, name: str, *kinds: str) -> list[JobView]:
        """The jobs of these kinds with a remote, the newest first."""
        return [
            view for view in self.hub.jobs.views if view.job.kind in kinds and view.job.request.get("remote") == name
        ]

    def running_of(self, name: str) -> JobView | None:
        """What is under way with a remote."""
        return next((view for view in self.views_of(name, "sync", "check") if not view.job.ended), None)

    # where the person is ------------------------------------------------------------------------------------------

    @property
    def current(self) -> Remote | None:
        """The remote under the cursor."""
        return self.query_one(RemoteList).current

    @property
    def device(self) -> Device | None:
        """The machine under the cursor while that is among the machines, else this one."""
        rows = self.query_one(DeviceList)
        if rows.has_focus:
            return rows.current
        return next((one for one in self.state.devices if one.is_this), None)

    # what the screen does -----------------------------------------------------------------------------------------

    @abstractmethod
    def show_state(self) -> None:
        """Show remotes, machines and conflicts anew."""

    @abstractmethod
    def show_waiting(self) -> None:
        """Show what waits anew."""

    @abstractmethod
    def show_transfers(self) -> None:
        """Show the files under way anew."""


def _read(registry: Registry) -> State:
    from tui import sync_state

    return sync_state.read(registry)


def _here(registry: Registry, name: str, before: Pending | None) -> Pending:
    from hubman.sync.pending import pending

    return pending(registry, name, before=before, asks=False)


def _asked(registry: Registry, name: str, before: Pending | None, stop: threading.Event) -> Pending | None:
    from hubman.sync.pending import pending

    try:
        return pending(registry, name, before=before, should_stop=stop.is_set)
    except CancelledError:
        return None


def _followed(jobs: Sequence[Job], before: dict[str, Transfers]) -> dict[str, Transfers]:
    from tui import sync_transfers

    now = time.monotonic()
    return {job.id: sync_transfers.follow(job, before[job.id], now) for job in jobs}
