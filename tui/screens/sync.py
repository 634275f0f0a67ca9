"""Mode 5: the same collection on every machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from registry.errors import UsageError
from tui import actions, formats
from tui.screens.base import HubScreen
from tui.services.watch import JobView, Snapshot
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from hubman.sync.lost import LostEdit
    from hubman.sync.remote import Remote
    from registry.database import Registry

EMPTY = """No remote yet.

a    add a folder that your machines share: a disk, a network drive,
     or one that Syncthing, Dropbox or Nextcloud carries

Tags, notes, ratings and previews go to every machine; weights where they are wanted."""


class RemoteList(RowList["Remote"]):
    """Remotes and when they were last synced with."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Remote", 14),
        Column("Kind", 6, drop=2),
        Column("Place", 16, grow=True),
        Column("Synced", 8, right=True),
        Column("State", 12, drop=1),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.running: dict[str, str] = {}
        """What is going on, by remote."""

    def cells(self, item: Remote) -> Sequence[Cell]:
        state = self.running.get(item.name, "")
        return (
            (item.name, ""),
            (item.kind, "muted"),
            (formats.one_line(item.location), "muted"),
            (formats.age(item.synced_at) if item.synced_at else "never", "muted" if item.synced_at else "warn"),
            (state, "bad" if state == "failed" else "accent"),
        )


class SyncScreen(HubScreen):
    """The remotes, and what the last sync with each did."""

    SCOPE = "sync"
    CSS_PATH = "sync.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("sync")]
    AUTO_FOCUS = "#remotes"

    def __init__(self) -> None:
        super().__init__()
        self._ended: frozenset[str] = frozenset()

    def body(self) -> Iterable[Widget]:
        yield RemoteList(id="remotes")
        with VerticalScroll(id="about"):
            yield Static("", id="facts", markup=False)

    def on_mount(self) -> None:
        self.query_one(RemoteList).empty = EMPTY
        self._reload()

    def _reload(self) -> None:
        self.in_thread(_remotes, lambda found: self.query_one(RemoteList).set_items(found), group="remotes")

    @property
    def current(self) -> Remote | None:
        return self.query_one(RemoteList).current

    def lacks(self, need: str) -> str:
        return "add a remote first (a)" if need == "remote" and self.current is None else ""

    # what is going on ---------------------------------------------------------------------------------------------

    def show_jobs(self, snapshot: Snapshot) -> None:
        rows = self.query_one(RemoteList)
        syncs = [view for view in snapshot.views if view.job.kind == "sync"]
        newest = {str(view.job.request.get("remote")): view for view in reversed(syncs)}
        rows.running = {name: _state(view) for name, view in newest.items()}
        rows.refresh()
        self._show_facts()
        ended = frozenset(view.job.id for view in syncs if view.job.ended)
        if ended - self._ended:
            self._reload()
        self._ended = ended

    @on(RowList.Highlighted)
    def _show_facts(self) -> None:
        self.refresh_actions()
        remote = self.current
        facts = self.query_one("#facts", Static)
        if remote is None:
            facts.update("")
            return
        views = [
            view
            for view in self.hub.jobs.views
            if view.job.kind == "sync" and view.job.request.get("remote") == remote.name
        ]
        lines = [
            f"{remote.name} · {remote.location}",
            f"added {formats.age(remote.added_at)} ago".replace("now ago", "just now"),
            "",
        ]
        facts.update("\n".join(lines + (said_of(views[0]) if views else [_without_job(remote)])))

    # actions ------------------------------------------------------------------------------------------------------

    @on(RowList.Chosen)
    def _chosen(self) -> None:
        self.do_sync()

    def do_sync(self) -> None:
        if self.current is not None:
            self.start_job("sync", f"sync with {self.current.name}", {"remote": self.current.name})

    def do_add(self) -> None:
        from tui.widgets.dialogs import Ask

        def done(text: str | None) -> None:
            if text:
                name, location = parse_remote(text)
                self.change(lambda registry: _add(registry, name, location), self._added)

        hint = (
            "A name and a folder, such as: nas /mnt/nas/loras. An empty folder becomes a new remote, another is joined."
        )
        self.app.push_screen(Ask("add a remote", hint=hint, check=parse_remote), done)

    def _added(self, remote: Remote) -> None:
        self._reload()
        self.say(f"added {remote.name}; s syncs with it")

    def do_edits(self) -> None:
        from hubman.sync import lost

        self.in_thread(lost.unseen, self._show_lost, group="lost")

    def _show_lost(self, edits: list[LostEdit]) -> None:
        """Choose one, then whether it comes back; the list stands again until it is left."""
        from tui.widgets.dialogs import Choose

        if not edits:
            self.say("no edit of yours was lost to another machine")
            return
        options = [
            (
                str(edit.id),
                f"{formats.one_line(edit.name)}: {edit.field}",
                f"{_value(edit.lost)} lost to {_value(edit.kept)}",
            )
            for edit in edits
        ]

        def chosen(key: str | None) -> None:
            if key is not None:
                self._settle(next(edit for edit in edits if str(edit.id) == key))

        self.app.push_screen(Choose("Edits that gave way", options), chosen)

    def _settle(self, edit: LostEdit) -> None:
        from hubman.sync import lost
        from tui.widgets.dialogs import Choose

        options = [
            ("keep", f"leave it at {_value(edit.kept)}", "the other machine's word"),
            ("back", f"bring back {_value(edit.lost)}", "on every machine"),
        ]

        def chosen(answer: str | None) -> None:
            if answer is not None:
                keep: lost.Keep = "mine" if (answer == "keep") == edit.mine_is_kept else "theirs"
                self.change(lambda registry: lost.resolve(registry, edit.id, keep), lambda _: self.do_edits())

        self.app.push_screen(Choose(f"{formats.one_line(edit.name)}: {edit.field}", options), chosen)

    def do_remove(self) -> None:
        from tui.widgets.dialogs import Confirm

        remote = self.current
        if remote is None:
            return

        def done(yes: bool | None) -> None:
            if yes:
                self.change(lambda registry: _remove(registry, remote.name), lambda _: self._reload())

        self.app.push_screen(
            Confirm(f"Forget {remote.name}?", f"Nothing in {remote.location} is touched; it can be added again."), done
        )


def parse_remote(text: str) -> tuple[str, str]:
    """``name place`` taken apart. Raises ``UsageError``."""
    name, _, location = text.strip().partition(" ")
    if not location.strip():
        raise UsageError("give a name and a folder", "such as: nas /mnt/nas/loras")
    return name, location.strip()


def _without_job(remote: Remote) -> str:
    """Commands sync without leaving a job behind."""
    if remote.synced_at is None:
        return "never synced from here: s syncs now"
    return f"synced {formats.age(remote.synced_at)} ago by a command: s syncs again".replace("now ago", "just now")


def said_of(view: JobView) -> list[str]:
    """What a sync did, or why it could not, in lines."""
    job = view.job
    if not job.ended:
        progress = view.progress
        share = f"{formats.bar(view.share, 20)} {view.share:4.0%}  " if view.share is not None else ""
        return [share + (f"{progress.stage} {progress.message}".strip() if progress else "starting …")]
    if job.error:
        return [f"last sync failed: {formats.one_line(job.error)}", "r in Jobs (6) goes on with it"]
    result = job.result or {}
    lines = [
        f"last sync {formats.age(job.finished_at or '')} ago".replace("now ago", "just now"),
        f"sent      {_amount(result, 'sent_changes', 'uploaded')}",
        f"received  {_amount(result, 'received_changes', 'downloaded')}",
    ]
    if result.get("lost_races"):
        lines.append(
            f"{formats.count(result['lost_races'], 'edit')} gave way to a later one of another machine: e shows them"
        )
    return lines + [f"! {formats.one_line(warning)}" for warning in result.get("warnings", [])]


def _amount(result: dict[str, Any], changes: str, files: str) -> str:
    counted = formats.count(result.get(changes, 0), "change"), formats.count(result.get(files, 0), "file")
    return f"{', '.join(counted)} ({formats.size(result.get(f'{files}_bytes', 0))})"


def _state(view: JobView) -> str:
    if view.job.ended:
        return "failed" if view.job.state == "failed" else ""
    return f"syncing {view.share:.0%}" if view.share is not None else "syncing"


def _value(value: object) -> str:
    return "nothing" if value is None else formats.one_line(str(value))[:40]


def _remotes(registry: Registry) -> list[Remote]:
    from hubman.sync.remote import all_remotes

    return all_remotes(registry)


def _add(registry: Registry, name: str, location: str) -> Remote:
    from hubman.sync import remotes

    return remotes.add(registry, name, location)


def _remove(registry: Registry, name: str) -> None:
    from hubman.sync import remotes

    remotes.remove(registry, name)
