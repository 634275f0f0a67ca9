"""Two versions of one field side by side: keep mine, theirs or both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui import actions, formats, sync_words
from tui.screens.base import HubScreen
from tui.sync_conflicts import Conflict, Side
from tui.sync_state import State

if TYPE_CHECKING:
    from registry.database import Registry

Keep = Literal["mine", "theirs", "both"]


class ConflictScreen(HubScreen):
    """Over Sync; each answer is an edit like any other, goes to every machine, and can be undone."""

    SCOPE = "conflicts"
    MODE = "sync"
    CSS_PATH = "sync_conflicts.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("conflicts")]

    def __init__(self, conflicts: Sequence[Conflict], at: int) -> None:
        super().__init__()
        self._conflicts, self._at = tuple(conflicts), at
        self._can_undo = False
        self._is_undoing = False
        """Whether what comes back is to be shown."""

    def body(self) -> Iterable[Widget]:
        yield Static("", id="heading", classes="title", markup=False)
        with Horizontal(id="sides"):
            for side in ("my", "their"):
                with Vertical(id=f"{side}-side", classes="side"):
                    yield Static("", id=f"{side}-who", classes="who", markup=False)
                    with VerticalScroll(classes="text"):
                        yield Static("", id=f"{side}-text", markup=False)
        yield Static("", id="says", markup=False)

    def on_mount(self) -> None:
        self._reload()
        self._show()

    @property
    def current(self) -> Conflict | None:
        return self._conflicts[self._at] if self._conflicts else None

    def lacks(self, need: str) -> str:
        conflict = self.current
        if need in {"conflict", "both"} and conflict is None:
            return "no conflict is left"
        if need == "both" and conflict is not None and not conflict.can_both:
            return "a model can have only one of these; texts and tags can keep both"
        if need == "undo" and not self._can_undo:
            return "nothing to undo"
        return super().lacks(need)

    # showing ------------------------------------------------------------------------------------------------------

    def show_changes(self) -> None:
        self._reload()

    def _reload(self) -> None:
        self.in_thread(_read, self._read, group="state")

    def _read(self, state: State) -> None:
        known = {one.id for one in self._conflicts}
        ids = [one.id for one in state.conflicts]
        back = [one for one in ids if one not in known]
        at = back[0] if back and self._is_undoing else self.current.id if self.current else None
        self._is_undoing = False
        self._conflicts = state.conflicts
        self._at = ids.index(at) if at in ids else max(0, min(self._at, len(ids) - 1))
        self._can_undo = state.can_undo
        self._show()

    def _show(self) -> None:
        conflict = self.current
        if conflict is None:
            self.put("#heading", "No conflict is left")
            for side in ("my", "their"):
                self.put(f"#{side}-who", "")
                self.put(f"#{side}-text", "")
            self.put("#says", "esc goes back to sync, z takes the last answer back")
            self.refresh_actions()
            return
        where = f"{self._at + 1} of {len(self._conflicts)}"
        field = conflict.field.replace("_", " ")
        self.put("#heading", f"{field} of {formats.one_line(conflict.name)}  ·  {where}")
        for side, name in (("mine", "my"), ("theirs", "their")):
            self.query_one(f"#{name}-who", Static).update(self._who(conflict, "mine" if side == "mine" else "theirs"))
            text = conflict.text("mine" if side == "mine" else "theirs")
            self.put(f"#{name}-text", text or "nothing")
        self.put("#says", _says(conflict))
        self.refresh_actions()

    def _who(self, conflict: Conflict, side: Side) -> Content:
        by, at = (conflict.mine_by, conflict.mine_at) if side == "mine" else (conflict.theirs_by, conflict.theirs_at)
        title = "Mine" if side == "mine" else "Theirs"
        shown = conflict.shows in {side, "both"}
        told = " · ".join(part for part in (formats.one_line(by), sync_words.ago(at) if at else "") if part)
        return Content.assemble((f"{title}", "bold"), ("  shown now" if shown else "", "$text-success"), f"\n{told}")

    # answers ------------------------------------------------------------------------------------------------------

    def do_mine(self) -> None:
        self._keep("mine")

    def do_theirs(self) -> None:
        self._keep("theirs")

    def do_both(self) -> None:
        self._keep("both")

    def _keep(self, keep: Keep) -> None:
        conflict = self.current
        if conflict is None:
            return
        name = f"{conflict.field.replace('_', ' ')} of {formats.one_line(conflict.name)}"
        self.change(
            lambda registry: _resolve(registry, [conflict.id], keep), lambda _: self._kept(f"{name}: {_SAID[keep]}")
        )

    def do_mine_all(self) -> None:
        self._keep_all("mine")

    def do_theirs_all(self) -> None:
        self._keep_all("theirs")

    def _keep_all(self, keep: Keep) -> None:
        from tui.widgets.dialogs import Confirm

        ids = [one.id for one in self._conflicts]

        def done(yes: bool | None) -> None:
            if yes:
                self.change(
                    lambda registry: _resolve(registry, ids, keep),
                    lambda _: self._kept(f"{formats.count(len(ids), 'conflict')}: {_SAID[keep]}"),
                )

        text = f"{formats.count(len(ids), 'conflict')} that {'is' if len(ids) == 1 else 'are'} left: {_SAID[keep]}."
        self.app.push_screen(Confirm("All of them?", text), done)

    def _kept(self, said: str) -> None:
        self.say(f"{said}  (z undoes)")
        self._reload()

    def do_next(self) -> None:
        self._step(1)

    def do_previous(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        self._at = (self._at + by) % len(self._conflicts)
        self._show()

    def do_undo(self) -> None:
        from tui.screens import undoing

        def done() -> None:
            self._is_undoing = True
            self._reload()

        undoing.undo(self, done)

    def do_back(self) -> None:
        self.dismiss(None)


_SAID = {"mine": "mine is kept", "theirs": "theirs is kept", "both": "both are kept"}


def _says(conflict: Conflict) -> str:
    both = ", b both" if conflict.can_both else ""
    now = {
        "mine": "Mine is shown now.",
        "theirs": "Theirs is shown now: it is the later one.",
        "both": "Both are shown now, one below the other.",
    }
    return f"{now[conflict.shows]} m keeps mine, t theirs{both}; it goes to every machine."


def _read(registry: Registry) -> State:
    from tui import sync_state

    return sync_state.read(registry)


def _resolve(registry: Registry, ids: Sequence[int], keep: Keep) -> None:
    from hubman.sync import lost

    lost.resolve_all(registry, ids, keep)
