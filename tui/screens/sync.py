"""Mode 5: the same collection on every machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from tui import actions, formats, sync_about, sync_rows, sync_transfers, sync_words
from tui.screens.sync_places import SyncPlaces
from tui.widgets.page_line import Page, PageLine
from tui.widgets.rows import Cell, RowList
from tui.widgets.sync_lists import (
    ConflictList,
    DeviceList,
    FindingList,
    RemoteList,
    TransferList,
    WaitingList,
)

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from hubman.sync.remote import Remote
    from tui.services.watch import JobView
    from tui.sync_transfers import Moving

EMPTY = """No remote yet.

a    add a folder that your machines share: a disk, a network drive,
     or one that Syncthing, Dropbox or Nextcloud carries; or a bucket

Tags, notes, ratings and previews go to every machine; weights where they are wanted."""

PAGES = ("waiting", "edits", "transfers", "findings")
"""Actions that show a page each; the lists are in this order."""

_MOST, _FEW = 8, 4
"""Lines of remotes and machines that are shown at once, on a high screen and on others."""


class SyncScreen(SyncPlaces):
    """Remotes and machines above; below what waits, conflicts, files under way or findings, and what they mean."""

    SCOPE = "sync"
    CSS_PATH = "sync.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("sync")]
    AUTO_FOCUS = "#remotes"

    page: str = "waiting"

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="places"):
            yield RemoteList(id="remotes")
            yield DeviceList(id="devices")
        yield Static("", id="news", markup=False)
        yield PageLine(id="page-line")
        with Horizontal(id="pages"):
            with Container(id="lists"):
                yield WaitingList(id="waiting")
                yield ConflictList(id="conflicts")
                yield TransferList(id="transfers")
                yield FindingList(id="findings")
            with VerticalScroll(id="about", can_focus=False):
                yield Static("", id="facts", markup=False)

    def on_mount(self) -> None:
        self.query_one(RemoteList).empty = EMPTY
        self.query_one(ConflictList).empty = "No conflict: no two machines said different things at once."
        self.query_one(TransferList).empty = "No file is under way.\n\ns    syncs with the remote\nw    what waits"
        self.set_class(True, "-on-waiting")
        self.reload()

    # what is shown ------------------------------------------------------------------------------------------------

    def show_state(self) -> None:
        remotes, devices = self.query_one(RemoteList), self.query_one(DeviceList)
        remotes.states = {one.name: self._state(one) for one in self.state.remotes}
        remotes.waiting = self.pendings
        if list(self.state.remotes) != list(remotes._items):
            names = [one.name for one in self.state.remotes]
            at = remotes.current.name if remotes.current else ""
            remotes.set_items(self.state.remotes, cursor=names.index(at) if at in names else None)
        if list(self.state.devices) != list(devices._items):
            devices.set_items(self.state.devices)
        devices.warned = frozenset(one.about for one in self.state.alerts)
        lines = max(len(self.state.remotes), len(self.state.devices))
        most = _MOST if self.has_class("-high") else _FEW
        self.query_one("#places").styles.height = None if not self.state.remotes else min(most, lines) + 1
        self.set_class(self.is_loaded and not self.state.remotes and not self.state.conflicts, "-new")
        remotes.refresh()
        self._show_news()
        conflicts = self.query_one(ConflictList)
        if list(self.state.conflicts) != list(conflicts._items):
            conflicts.set_items(self.state.conflicts)
        findings = self.query_one(FindingList)
        found = self.findings
        findings.empty = self._no_findings()
        if found != list(findings._items):
            findings.set_items(found)
        self.show_pages()

    def _state(self, remote: Remote) -> Cell:
        view = self.running_of(remote.name)
        if view is not None:
            return _doing(view)
        syncs = self.views_of(remote.name, "sync")
        if remote.name in self.problems:
            return "not there", "bad"
        if remote.name in self.state.moved:
            return "has moved", "warn"
        if syncs and syncs[0].job.state in {"failed", "cancelled"}:
            return ("failed", "bad") if syncs[0].job.state == "failed" else ("stopped", "warn")
        found = self.pendings.get(remote.name)
        if self.state.hold and found is not None and found.up.file_count + found.down.file_count:
            return ("paused" if self.is_paused else "waits"), "warn"
        return ("in step", "good") if found is not None and found.looked_at and found.is_empty else ("", "")

    def _show_news(self) -> None:
        remote = self.current
        moved = self.state.moved.get(remote.name) if remote is not None else None
        lines = [sync_words.hold(self.state.hold)] if self.state.hold and self.state.remotes else []
        lines += [sync_words.moved(remote, moved)] if remote is not None and moved is not None else []
        lines += sync_words.alerts(self.state.alerts)
        self.put("#news", "\n".join(lines), grows=True)

    def _no_findings(self) -> str:
        if self.current is None:
            return ""
        views = self.views_of(self.current.name, "check")
        if not views:
            return f"{self.current.name} was not checked from here.\n\nc    looks whether all on it is whole"
        if not views[0].job.ended:
            return "Checking …"
        if views[0].job.error:
            return f"It could not be checked: {formats.one_line(views[0].job.error)}\n\nc    checks again"
        return "The last check found nothing: all is whole.\n\nc    checks again"

    def show_waiting(self) -> None:
        remote, rows = self.current, self.query_one(WaitingList)
        lists = self.query_one(RemoteList)
        lists.states = {one.name: self._state(one) for one in self.state.remotes}
        lists.refresh()
        if remote is not None:
            found, problem = self.pendings.get(remote.name), self.problems.get(remote.name, "")
            lines = sync_rows.lines(remote.name, found, problem, is_looking=self.looking == remote.name)
            rows.empty = "Looking …"
            if lines != list(rows._items):
                rows.set_items(lines)
        self.show_pages()

    def show_transfers(self) -> None:
        rows, moving = self.query_one(TransferList), self._moving()
        if moving != list(rows._items):
            rows.set_items(moving)
        self.show_pages()

    def _moving(self) -> list[Moving]:
        return sync_transfers.in_order(self.moving)

    def show_pages(self) -> None:
        open_ = [one for one in self._moving() if one.is_under_way and not one.is_all]
        broken = sum(one.level in {"missing", "repairable"} for one in self.findings)
        found = self.pendings.get(self.current.name) if self.current else None
        waits = sum(1 for one in sync_rows.lines("", found) if one.mark in {"↑", "↓"}) if found else 0
        news = {
            "waiting": (formats.number(waits) if waits else "", "news"),
            "edits": (str(len(self.state.conflicts) or ""), "bad"),
            "transfers": (str(len(open_) or ""), "news"),
            "findings": (str(broken or ""), "bad"),
        }
        titles = {"waiting": "waiting", "edits": "conflicts", "transfers": "under way", "findings": "findings"}
        pages = [Page(f"sync.{one}", actions.ACTIONS[f"sync.{one}"].keys, titles[one], *news[one]) for one in PAGES]
        self.query_one(PageLine).show(pages, f"sync.{self.page}")
        self.show_about()

    # what is under the cursor -------------------------------------------------------------------------------------

    @on(RowList.Highlighted)
    def _followed_cursor(self, event: RowList.Highlighted) -> None:
        if isinstance(event.rows, RemoteList) and self.is_loaded:
            self.show_waiting()
            self.count_waiting()
            self.show_state()
        self.show_about()

    def on_descendant_focus(self) -> None:
        self.show_about()

    def show_about(self) -> None:
        self.put("#facts", "\n".join(self._about()), grows=True)
        self.refresh_actions()

    def _about(self) -> list[str]:
        focused = self.focused
        if isinstance(focused, RowList) and focused.current is not None and not isinstance(focused, RemoteList):
            return self._about_line(focused)
        remote = self.current
        if remote is None:
            return []
        return sync_about.of_remote(remote, self.views_of(remote.name, "sync"), self.problems.get(remote.name, ""))

    def _about_line(self, rows: RowList[Any]) -> list[str]:
        line: Any = rows.current
        if isinstance(rows, TransferList):
            return sync_about.of_moving(line, self._moving())
        told: dict[type[RowList[Any]], Callable[[Any], list[str]]] = {
            DeviceList: lambda device: sync_about.of_device(device, self.state.alerts),
            ConflictList: sync_about.of_conflict,
            FindingList: sync_about.of_finding,
            WaitingList: sync_about.of_wait,
        }
        return told[type(rows)](line)

    # going about --------------------------------------------------------------------------------------------------

    @property
    def _list(self) -> RowList[object]:
        return self.query_one(f"#{'conflicts' if self.page == 'edits' else self.page}", RowList)

    def _go_to(self, page: str) -> None:
        """Show a page and go there; from there back to the remotes."""
        if self.has_class("-new"):
            self.say("there is nothing to show yet: a adds a remote")
            return
        if self.page == page and self._list.has_focus:
            self.do_back()
            return
        self.set_class(False, f"-on-{self.page}")
        self.page = page
        self.set_class(True, f"-on-{page}")
        self._list.focus()
        self.show_pages()

    def do_waiting(self) -> None:
        self._go_to("waiting")

    def do_edits(self) -> None:
        self._go_to("edits")

    def do_transfers(self) -> None:
        self._go_to("transfers")

    def do_findings(self) -> None:
        self._go_to("findings")

    def do_devices(self) -> None:
        devices = self.query_one(DeviceList)
        if devices.has_focus:
            self.do_back()
        else:
            self.set_class(True, "-on-devices")
            devices.focus()

    def do_back(self) -> None:
        self.set_class(False, "-on-devices")
        self.query_one(RemoteList).focus()

    def leave(self) -> bool:
        """``q`` goes back to the remotes first."""
        if self.query_one(RemoteList).has_focus:
            return False
        self.do_back()
        return True

    @on(RowList.Chosen, "#remotes")
    def _chosen(self) -> None:
        self.do_waiting()

    @on(RowList.Chosen, "#devices")
    async def _device_chosen(self) -> None:
        await self.action_act("sync.policy")

    @on(RowList.Chosen, "#conflicts")
    def _conflict_chosen(self) -> None:
        from tui.screens.sync_conflicts import ConflictScreen

        rows = self.query_one(ConflictList)
        if rows.current is not None:
            self.app.push_screen(ConflictScreen(self.state.conflicts, rows.cursor), lambda _: self.reload())

    def show_job(self, job: Job) -> None:
        """What a job of mode 6 made."""
        names = [one.name for one in self.state.remotes]
        name = str(job.request.get("remote"))
        if name in names:
            self.query_one(RemoteList).cursor = names.index(name)
        if job.kind == "check":
            self._go_to("findings")


def _doing(view: JobView) -> Cell:
    """How a job that has not ended stands."""
    if view.job.state == "queued":
        return "queued", "warn"
    doing = "checking" if view.job.kind == "check" else "syncing"
    return (f"{doing} {view.share:.0%}" if view.share is not None else doing), "accent"
