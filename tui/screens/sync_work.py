"""What the Sync screen starts and stops: syncs, checks, repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui import formats, sync_state
from tui.screens.sync_base import SyncBase

if TYPE_CHECKING:
    from registry.database import Registry
    from tui.action import Action
    from tui.services.watch import JobView
    from tui.sync_state import Found


class SyncWork(SyncBase):
    """Each is a job in its own process; those that need the one lock of sync wait for one another."""

    def lacks(self, need: str) -> str:
        remote = self.current
        if need in {"remote", "running", "findings", "moved"} and remote is None:
            return "add a remote first (a)"
        if need == "running" and remote is not None and self.running_of(remote.name) is None:
            return f"nothing is under way with {remote.name}"
        if need == "moved" and remote is not None and remote.name not in self.state.moved:
            return f"nobody has moved {remote.name}"
        if need == "findings" and not any(one.level == "repairable" for one in self.findings):
            return "the last check found nothing that can be mended (c checks)"
        if need == "findings" and remote is not None and remote.is_read_only:
            return f"{remote.name} is only read by this machine: mend it where it is written"
        return super().lacks(need)

    def label_of(self, action: Action) -> str:
        if action.id == "sync.pause" and self.is_paused:
            return "go on"
        return super().label_of(action)

    @property
    def running(self) -> JobView | None:
        """What is under way with the remote under the cursor."""
        return self.running_of(self.current.name) if self.current is not None else None

    @property
    def is_paused(self) -> bool:
        """Whether a person holds the files of this machine."""
        return self.state.hold == "paused"

    @property
    def findings(self) -> list[Found]:
        """What the last check of the remote under the cursor found."""
        if self.current is None:
            return []
        ended = [view.job for view in self.views_of(self.current.name, "check") if view.job.state == "done"]
        return sync_state.findings(ended[0] if ended else None)

    # syncing ------------------------------------------------------------------------------------------------------

    def do_sync(self) -> None:
        self._sync(deep=False)

    def do_deep(self) -> None:
        self._sync(deep=True)

    def _sync(self, *, deep: bool) -> None:
        remote = self.current
        if remote is None:
            return
        if self.running is not None:
            self.say(f"{remote.name}: {self.running.job.title} is under way; x stops it")
            return
        request: dict[str, object] = {"remote": remote.name}
        if deep:
            request["deep"] = True
        self.start_job("sync", f"{'deep ' if deep else ''}sync with {remote.name}", request)

    def do_sync_all(self) -> None:
        names = [remote.name for remote in self.state.remotes if self.running_of(remote.name) is None]

        def started(_: object) -> None:
            self.say(f"started: sync with {', '.join(names)}  (6 shows jobs)" if names else "all are under way already")
            self.hub.poll_soon()

        self.change(lambda registry: _start_all(registry, names), started)

    def do_look(self) -> None:
        if self.current is not None:
            self.look_at(self.current)

    def do_stop(self) -> None:
        if self.running is not None:
            job = self.running.job

            def done(_: object) -> None:
                self.say(f"{job.title} stops at its next safe point; the next sync goes on from there")
                self.hub.poll_soon()

            self.change(lambda registry: _stop(registry, job.id), done)

    def do_pause(self) -> None:
        """Hold the files of all syncs of this machine, whoever started them, or let them go on with every remote."""
        pauses = not self.is_paused

        def done(_: object) -> None:
            self.reload()
            if pauses:
                self.say("files wait, what people write still goes; space lets them go on")
            else:
                self.do_sync_all()

        self.change(lambda registry: _hold(registry, pauses=pauses), done)

    # looking after ------------------------------------------------------------------------------------------------

    def do_check(self) -> None:
        if self.current is not None:
            name = self.current.name
            self.start_job("check", f"check {name}", {"remote": name})

    def do_repair(self) -> None:
        from tui.widgets.dialogs import Confirm

        remote = self.current
        if remote is None:
            return
        broken = sum(one.level == "repairable" for one in self.findings)

        def done(yes: bool | None) -> None:
            if yes:
                self.start_job("check", f"repair {remote.name}", {"remote": remote.name, "repair": True})

        text = f"{formats.count(broken, 'finding')} can be mended: what is here and sound is sent again. Nothing is deleted."
        self.app.push_screen(Confirm(f"Repair {remote.name}?", text), done)


def _start_all(registry: Registry, names: list[str]) -> None:
    from hubman.jobs import store

    for name in names:
        store.start(registry, "sync", f"sync with {name}", {"remote": name})


def _stop(registry: Registry, job: str) -> None:
    from hubman.jobs import store

    store.cancel(registry, job)


def _hold(registry: Registry, *, pauses: bool) -> None:
    from hubman.sync.transfer import holding

    (holding.pause if pauses else holding.resume)(registry)
