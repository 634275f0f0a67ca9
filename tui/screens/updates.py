"""What is newer on Civitai than what is here, and what those whom one follows published: read, pull, ignore, follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual import on
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from tui import actions, following, formats, news
from tui.screens.civitai_base import CivitaiBase
from tui.widgets.columns import Column
from tui.widgets.queue_strip import QueueStrip
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from hubman.civitai.updates import Update
    from hubman.jobs.records import Job
    from registry.database import Registry
    from tui.actions import Action
    from tui.services.watch import Snapshot

Result = TypeVar("Result")
NOTHING = """Nothing is newer, as far as was asked.

r  asks Civitai again
hubman follow creator NAME  tells here what somebody publishes
esc  back"""


class UpdateList(RowList["Update"]):
    """A line an update; ``states`` are those of downloads, by what they pull."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Model", 17, grow=True),
        Column("Version", 17, grow=True),
        Column("Base", 12, drop=1),
        Column("Age", 6, right=True, drop=2),
        Column("", 12),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.states: Mapping[str, str] = {}

    def cells(self, item: Update) -> Sequence[Cell]:
        return (
            (formats.one_line(item.name) or f"model {item.number}", ""),
            (news.versions(item), ""),
            (formats.one_line(item.base_model), "accent" if item.changes.base_model else "muted"),
            (formats.age(item.published_at), "muted"),
            news.note(item, self.states.get(item.ref, "")),
        )


class UpdatesScreen(CivitaiBase):
    """Over the library. Shows at once what is known, while a job asks; ``models`` empty means all, and what is followed."""

    SCOPE = "updates"
    MODE = "library"
    CSS_PATH = "updates.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("updates")]
    AUTO_FOCUS = "#updates"

    def __init__(self, models: Sequence[str], title: str) -> None:
        super().__init__()
        self._models, self._title = list(models), title
        self._job = self._failed = ""
        self._followed: frozenset[str] = frozenset()

    def body(self) -> Iterable[Widget]:
        of = (
            f"of {formats.count(len(self._models), 'model')}" if self._models else "and what is new of those you follow"
        )
        yield Static(f"Newer versions {of}", id="heading", classes="title", markup=False)
        with Container(id="panes"):
            yield UpdateList(id="updates")
            with VerticalScroll(id="detail"):
                yield Static("", id="facts", markup=False)
        yield Static("", id="sum", classes="line", markup=False)
        yield QueueStrip()

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(UpdateList).empty = "Looking …"
        self._read()
        self.do_again()

    @property
    def update_at(self) -> Update | None:
        return self.query_one(UpdateList).current

    def lacks(self, need: str) -> str:
        update = self.update_at
        if need in {"update", "creator"} and update is None:
            return "there is no update here"
        if need == "creator" and update is not None and not update.creator:
            return "nobody told who made it"
        if need == "asked" and self._job:
            return "Civitai is being asked"
        if need == "undo" and not _can_undo(self.registry):
            return "nothing to undo"
        return ""

    def label_of(self, action: Action) -> str:
        update = self.update_at
        if action.id == "updates.follow" and update is not None and update.creator.casefold() in self._followed:
            return "unfollow"
        return super().label_of(action)

    # what there is ------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        models = self._models
        self.in_thread(lambda registry: _known(registry, models), self._found, group="updates")

    def _found(self, found: tuple[list[Update], frozenset[str]]) -> None:
        updates, self._followed = found
        rows, current = self.query_one(UpdateList), self.update_at
        rows.empty = "Asking Civitai …" if self._job else NOTHING
        numbers = [one.number for one in updates]
        rows.set_items(updates, cursor=numbers.index(current.number) if current and current.number in numbers else None)
        self._show_sum()

    def _show_sum(self) -> None:
        count = self.query_one(UpdateList).row_count
        said = f"{formats.count(count, 'update')}" if count else ""
        state = "asking Civitai …" if self._job else self._failed
        self.query_one("#sum", Static).update(" · ".join(part for part in (said, state) if part))
        self.refresh_actions()

    @on(RowList.Highlighted, "#updates")
    def _follow_cursor(self) -> None:
        pane, update = self.query_one("#detail", VerticalScroll), self.update_at
        width = max(20, pane.content_size.width or 40)
        self.query_one("#facts", Static).update(news.describe(update, width) if update else "")
        pane.scroll_home(animate=False)
        self.refresh_actions()

    def on_resize(self) -> None:
        self.call_after_refresh(self._follow_cursor)

    def show_pulls(self) -> None:
        rows = self.query_one(UpdateList)
        rows.states = {item.ref: item.state for item in self.pulls.items}
        rows.refresh()

    def show_arrivals(self) -> None:
        self._read()

    # asking -------------------------------------------------------------------------------------------------------

    def do_again(self) -> None:
        def begun(job: Job) -> None:
            self._job, self._failed = job.id, ""
            self.query_one(UpdateList).empty = "Asking Civitai …"
            self._show_sum()

        self.start_job("updates", self._title, {"models": self._models, "site": None}, begun)

    def show_jobs(self, snapshot: Snapshot) -> None:
        view = snapshot.of(self._job) if self._job else None
        if view is None or not view.job.ended:
            return
        self._job = ""
        if view.job.state == "done":
            self.say(news.told(view.job.result or {}))
        else:
            self._failed = "Civitai was not asked to the end: this is from before"
            if view.job.error:
                self.complain(view.job.error)
        self._read()

    # what one does with them --------------------------------------------------------------------------------------

    @on(RowList.Chosen, "#updates")
    def do_pull(self) -> None:
        update = self.update_at
        if update is not None:
            self.queue_pull(update.ref, f"{formats.one_line(update.name)} {formats.one_line(update.newest)}")

    def do_pull_all(self) -> None:
        from tui.widgets.dialogs import Confirm

        rows = self.query_one(UpdateList)
        updates = [item for at in range(rows.row_count) if (item := rows.item(at)) is not None]
        free = [one for one in updates if not news.early(one) and one.ref not in rows.states]
        if not free:
            self.say("all that can be had are queued")
            return

        def agreed(yes: bool | None) -> None:
            if yes:
                self._queue_all([one.ref for one in free])

        held = [f"✘ {formats.one_line(one.name)}: {news.early(one)}, left out" for one in updates if news.early(one)][
            :4
        ]
        lines = [f"{formats.one_line(one.name)}  {news.versions(one)}" for one in free[:8]]
        lines += [f"… and {len(free) - 8:,} more"] if len(free) > 8 else []
        self.app.push_screen(Confirm(f"Queue {formats.count(len(free), 'download')}", "\n".join(lines + held)), agreed)

    def _queue_all(self, refs: Sequence[str]) -> None:
        def work(registry: Registry) -> int:
            from hubman.civitai import queue

            items = queue.add(registry, refs, site=None, into=None)
            queue.start(registry)
            return len(items)

        def done(count: int) -> None:
            self.say(f"queued: {formats.count(count, 'download')}")
            self.look_at_pulls()
            self.hub.poll_soon()

        self.change(work, done)

    def do_open(self) -> None:
        if self.update_at is not None:
            self.open_address(self.update_at.ref)

    async def do_copy(self) -> None:
        if self.update_at is not None:
            await self.copy_address(self.update_at.ref)

    def do_ignore(self) -> None:
        update = self.update_at
        if update is not None:
            what = f"{formats.one_line(update.name)} {formats.one_line(update.newest)} is ignored"
            self._edit(
                lambda registry: _ignore(registry, update.number, update.version), lambda _: f"{what}  (z undoes)"
            )

    def do_ignore_model(self) -> None:
        update = self.update_at
        if update is not None:
            what = f"all updates of {formats.one_line(update.name)} are ignored  (z undoes)"
            self._edit(lambda registry: _ignore(registry, update.number, None), lambda _: what)

    def do_follow(self) -> None:
        update = self.update_at
        if update is not None:
            name = formats.one_line(update.creator)
            self._edit(
                lambda registry: following.turn(registry, update.creator),
                lambda is_followed: f"{following.told(name, is_followed=is_followed)}  (z undoes)",
            )

    def do_undo(self) -> None:
        self._edit(_undo, lambda label: f"undone: {label}")

    def _edit(self, work: Callable[[Registry], Result], words: Callable[[Result], str]) -> None:
        def done(result: Result) -> None:
            self.say(words(result))
            self._read()

        self.change(work, done)

    def do_back(self) -> None:
        self.dismiss(None)


def _known(registry: Registry, models: Sequence[str]) -> tuple[list[Update], frozenset[str]]:
    """What is news as far as was asked, and the creators that are followed."""
    from hubman.civitai import follow
    from hubman.civitai.updates import known

    followed = {one.name.casefold() for one in follow.following(registry) if one.kind == "creator"}
    return known(registry, models or None), frozenset(followed)


def _ignore(registry: Registry, model: int, version: int | None) -> None:
    from hubman.civitai import follow

    follow.ignore(registry, model, version)


def _undo(registry: Registry) -> str:
    from registry import undo

    return undo.undo(registry).entry.label


def _can_undo(registry: Registry) -> bool:
    from registry import journal

    return journal.last(registry) is not None
