"""The queue of downloads: what is on its way, what waits, what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from tui import actions, formats, pulls
from tui.screens import handing
from tui.screens.civitai_base import CivitaiBase
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.pull_queue import PullItem
    from tui.actions import Action

EMPTY = """Nothing is queued.

space on a result of a search queues its download, + one by its address.
Downloads go on when hubman is closed; hubman pull puts them into the same queue."""
_STATES = {"queued": "muted", "running": "accent", "paused": "warn", "done": "good", "failed": "bad"}
BAR = 12


class PullList(RowList["PullItem"]):
    """Downloads in their order, then what has ended."""

    rate: float = 0.0
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 3, right=True),
        Column("Model", 20, grow=True),
        Column("State", 7),
        Column("Progress", BAR + 5, drop=1),
        Column("", 28, grow=True, drop=2),
    )

    def cells(self, item: PullItem) -> Sequence[Cell]:
        share = item.done / item.total if item.total else 0.0
        is_open = item.state not in {"done", "failed"}
        progress = f"{formats.bar(share, BAR)} {share:4.0%}" if item.total and is_open else ""
        return (
            (str(item.position or ""), "muted"),
            (formats.one_line(item.title), ""),
            (item.state, _STATES[item.state]),
            (progress, "accent" if item.state == "running" else "muted"),
            (says(item, self.rate), "bad" if item.error and not is_open else "muted"),
        )


def says(item: PullItem, rate: float) -> str:
    """What a download is doing, or how it ended."""
    if item.error:
        return formats.one_line(item.error)
    if item.state == "running":
        return " · ".join(pulls.progress(item, rate))
    return formats.size(item.total) if item.total else ""


class QueueScreen(CivitaiBase):
    """Over Civitai; the same rows that ``hubman queue`` and other terminals act on."""

    SCOPE = "queue"
    MODE = "civitai"
    CSS_PATH = "civitai_queue.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("queue")]
    AUTO_FOCUS = "#pulls"

    def body(self) -> Iterable[Widget]:
        yield Static("Downloads", classes="title")
        yield PullList(id="pulls")
        yield Static("", id="why", markup=False)

    def on_mount(self) -> None:
        self.query_one(PullList).empty = EMPTY

    @property
    def item(self) -> PullItem | None:
        return self.query_one(PullList).current

    def show_pulls(self) -> None:
        rows, current = self.query_one(PullList), self.item
        rows.rate = self.pulls.rate
        ids = [item.id for item in self.pulls.items]
        at = ids.index(current.id) if current is not None and current.id in ids else None
        rows.set_items(self.pulls.items, cursor=at)

    @on(RowList.Highlighted)
    def _show_why(self) -> None:
        item = self.item
        why = self.query_one("#why", Static)
        why.update(formats.one_line(item.error or item.path or item.ref) if item else "")
        why.set_class(bool(item and item.state == "failed"), "-bad")
        self.refresh_actions()

    def lacks(self, need: str) -> str:
        items, item = self.pulls.items, self.item
        if need in {"item", "waiting", "failed"} and item is None:
            return "nothing is queued"
        lacking = {
            "waiting": item is not None and item.state in {"done", "failed"} and "it has ended",
            "failed": item is not None and item.state != "failed" and "it did not fail",
            "failures": not any(one.state == "failed" for one in items) and "nothing failed",
            "any": not items and "nothing is queued",
        }
        return lacking.get(need) or ""

    def label_of(self, action: Action) -> str:
        if action.id == "queue.hold" and self.item is not None and self.item.state == "paused":
            return "go on"
        if action.id == "queue.hold_all" and self._all_held:
            return "go on with all"
        return super().label_of(action)

    @property
    def _all_held(self) -> bool:
        waiting = [item for item in self.pulls.items if not item.ended]
        return bool(waiting) and all(item.state == "paused" for item in waiting)

    # actions ------------------------------------------------------------------------------------------------------

    def _do(self, work: Callable[[Registry], object]) -> None:
        def done(_: object) -> None:
            self.look_at_pulls()
            self.hub.poll_soon()

        self.change(work, done)

    def do_hold(self) -> None:
        from hubman.civitai import queue

        item = self.item
        if item is not None:
            change = queue.resume if item.state == "paused" else queue.pause
            self._do(lambda registry: change(registry, [item.id]))

    def do_hold_all(self) -> None:
        from hubman.civitai import queue

        change = queue.resume if self._all_held else queue.pause
        self._do(lambda registry: change(registry, None))

    def do_up(self) -> None:
        self._move(-1)

    def do_down(self) -> None:
        self._move(1)

    def do_first(self) -> None:
        if self.item is not None:
            self._move(1 - self.item.position)

    def _move(self, by: int) -> None:
        from hubman.civitai import queue

        item = self.item
        if item is not None:
            self._do(lambda registry: queue.move(registry, item.id, max(1, item.position + by)))

    def do_retry(self) -> None:
        from hubman.civitai import queue

        item = self.item
        if item is not None:
            self._do(lambda registry: queue.retry(registry, [item.id]))

    def do_retry_all(self) -> None:
        from hubman.civitai import queue

        self._do(lambda registry: queue.retry(registry, None))

    def do_remove(self) -> None:
        from hubman.civitai import queue

        item = self.item
        if item is not None:
            self._do(lambda registry: queue.remove(registry, [item.id]))

    def do_clear(self) -> None:
        from hubman.civitai import queue

        ended = [item.id for item in self.pulls.items if item.ended]
        self._do(lambda registry: queue.remove(registry, ended))

    async def do_copy(self) -> None:
        if self.item is not None:
            await handing.copy_text(self, self.item.error or self.item.path or self.item.ref)

    def do_back(self) -> None:
        self.dismiss(None)
