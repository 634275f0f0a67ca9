"""What is there more than once: choose what stays, and put the rest into the trash, one set or all of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, get_args

from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from registry.duplicates import Kind, Rule
from tui import actions, formats
from tui.duplicate_sets import Found, SetLine, Sets, prepared
from tui.screens.base import HubScreen
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.duplicates import Duplicates, Resolution
    from registry.journal import Entry
    from registry.undo import Undone

KINDS: dict[Kind, str] = {
    "content": "the same bytes in several places",
    "tensors": "the same weights under different headers",
    "superseded": "older versions beside the newest",
}
RULES: dict[Rule, str] = {
    "keep-oldest": "the oldest file of each set",
    "keep-newest": "the newest file of each set",
    "keep-shortest-path": "the file with the shortest path",
}


class SetList(RowList[SetLine]):
    """Each set's title, and below it its files, each line made when it is drawn."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("", 5),
        Column("File", 30, grow=True),
        Column("Model", 18, drop=2),
        Column("Size", 8, right=True, drop=1),
        Column("Written", 10, drop=3),
    )

    def __init__(self, sets: Sets, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.sets = sets

    @property
    def row_count(self) -> int:
        return self.sets.line_count

    def item(self, index: int) -> SetLine | None:
        return self.sets.line(index) if 0 <= index < self.row_count else None

    def cells(self, item: SetLine) -> Sequence[Cell]:
        mark = ("●", "mark") if item.is_marked else (" ", "")
        if item.copy is None:
            wasted = sum(copy.size for copy in item.found.copies) - max(copy.size for copy in item.found.copies)
            name = formats.one_line(item.found.copies[0].name)
            title = f"{name}: {len(item.found.copies)} files"
            return mark, ("", ""), (title, "accent"), ("", ""), (formats.size(wasted), "warn"), ("", "")
        day = datetime.fromtimestamp(item.copy.mtime_ns / 1e9, UTC).date().isoformat()
        return (
            mark,
            ("keep", "good") if item.is_kept else ("trash", "muted"),
            (formats.one_line(_below(item.copy.path, item.found)), "" if item.is_kept else "muted"),
            (formats.one_line(item.copy.name), "muted"),
            (formats.size(item.copy.size), "muted"),
            (day, "muted"),
        )


class DuplicatesScreen(HubScreen):
    """Over the library. One file of every set always stays."""

    SCOPE = "duplicates"
    MODE = "library"
    CSS_PATH = "duplicates.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *actions.bindings("duplicates"),
        *actions.bindings("move", only=("left", "right")),
    ]
    AUTO_FOCUS = "#sets"

    def __init__(self) -> None:
        super().__init__()
        self._kind: Kind = "content"
        self._sets = Sets()
        self._is_read = False

    def body(self) -> Iterable[Widget]:
        yield Static("", id="heading", classes="title", markup=False)
        yield SetList(self._sets, id="sets")
        yield Static("", id="path", classes="line", markup=False)
        yield Static("", id="sum", classes="line")

    def on_mount(self) -> None:
        self._read()

    def lacks(self, need: str) -> str:
        if need == "set" and not len(self._sets):
            return "there is no set here" if self._is_read else "they are still being looked for"
        if need == "undo" and not _can_undo(self.registry):
            return "nothing to undo"
        return ""

    def _read(self) -> None:
        kind, rule = self._kind, self._sets.rule
        self._is_read = False
        self._sets.show(Found())
        self._show()
        self.in_thread(lambda registry: prepared(_find(registry, kind), rule), self._found, group="find")

    def _found(self, found: Found) -> None:
        self._is_read = True
        self._sets.show(found)
        self._show(0)

    def _show(self, cursor: int | None = None) -> None:
        rows, sets = self.query_one(SetList), self._sets
        rows.empty = (
            f"Nothing is there twice: {KINDS[self._kind]}.\n\nh l  other kinds\nesc  back"
            if self._is_read
            else "Looking …"
        )
        rows.rows_changed(cursor)
        self.query_one("#heading", Static).update(f"Duplicates: {KINDS[self._kind]}  (h l)")
        marked = f"{len(sets.marked):,} of " if sets.marked else ""
        said = (
            f"{marked}{formats.count(len(sets), 'set')}: d trashes {formats.count(sets.extra(), 'file')}; "
            f"stays {RULES[sets.rule]}, or what enter chose"
        )
        self.query_one("#sum", Static).update(said if len(sets) else "")
        self.refresh_actions()

    @on(RowList.Highlighted, "#sets")
    def _follow_cursor(self) -> None:
        line = self.query_one(SetList).current
        copy = line.copy if line is not None else None
        self.query_one("#path", Static).update(formats.one_line(copy.path) if copy else "")

    # choosing -----------------------------------------------------------------------------------------------------

    def do_left(self) -> None:
        self._turn(-1)

    def do_right(self) -> None:
        self._turn(1)

    def do_kind(self) -> None:
        self._turn(1)

    def _turn(self, by: int) -> None:
        kinds: tuple[Kind, ...] = get_args(Kind)
        self._kind = kinds[(kinds.index(self._kind) + by) % len(kinds)]
        self._read()

    def do_mark(self) -> None:
        line = self.query_one(SetList).current
        if line is not None:
            self._sets.marked ^= {line.number}
            self._show()

    def do_mark_all(self) -> None:
        every = set(range(len(self._sets)))
        self._sets.marked = set() if self._sets.marked == every else every
        self._show()

    @on(RowList.Chosen)
    def do_keep(self) -> None:
        line = self.query_one(SetList).current
        if line is not None and line.copy is not None:
            self._sets.chosen[line.number] = line.copy
            self._show()

    def do_rule(self) -> None:
        from tui.widgets.dialogs import Choose

        def chosen(rule: str | None) -> None:
            if rule is not None:
                self._sets.rule = next(one for one in RULES if one == rule)
                self._read()

        options = [(rule, words, "") for rule, words in RULES.items()]
        self.app.push_screen(Choose("What stays", options, at=self._sets.rule), chosen)

    # resolving ----------------------------------------------------------------------------------------------------

    def do_resolve(self) -> None:
        sets = self._sets
        self.in_thread(lambda _: sets.plan(), self._ask, group="plan")

    def _ask(self, plan: list[Resolution]) -> None:
        from tui.widgets.dialogs import Confirm

        sound = [one for one in plan if not one.problem]
        lines = [f"✘ {formats.one_line(one.problem)}: left alone" for one in plan if one.problem][:4]
        if not sound:
            self.complain(lines[0][2:] if lines else "nothing is marked")
            return
        dropped = [copy for one in sound for copy in one.dropped]
        lines += [f"trash {formats.one_line(copy.path)}" for copy in dropped[:8]]
        lines += [f"… and {len(dropped) - 8:,} more"] if len(dropped) > 8 else []
        freed = formats.size(sum(copy.size for copy in dropped))
        title = f"Trash {formats.count(len(dropped), 'file')} of {formats.count(len(sound), 'set')}, {freed}"

        def agreed(yes: bool | None) -> None:
            if yes:
                self.query_one("#sum", Static).update("moving …")
                self.change(lambda registry: _resolve(registry, sound), self._resolved)

        self.app.push_screen(Confirm(title, "\n".join(lines)), agreed)

    def _resolved(self, entry: Entry | None) -> None:
        self.say(f"{entry.label}  (z undoes)" if entry else "nothing was moved: all of it changed meanwhile")
        self._read()

    def do_undo(self) -> None:
        def done(undone: Undone) -> None:
            self.say(f"undone: {undone.entry.label}")
            self._read()

        self.change(_undo, done)

    def do_back(self) -> None:
        self.dismiss(None)


def _below(path: str, found: Duplicates) -> str:
    """A file's path without the folders that all of its set share."""
    shared = os.path.commonpath([os.path.dirname(copy.path) for copy in found.copies])  # noqa: PTH120 - cheap, for each line drawn
    return os.path.relpath(path, shared)


def _find(registry: Registry, kind: Kind) -> list[Duplicates]:
    from registry import duplicates

    return duplicates.find(registry, kind)


def _resolve(registry: Registry, plan: Sequence[Resolution]) -> Entry | None:
    from registry import duplicates

    return duplicates.resolve(registry, plan)


def _undo(registry: Registry) -> Undone:
    from registry import undo

    return undo.undo(registry)


def _can_undo(registry: Registry) -> bool:
    from registry import journal

    return journal.last(registry) is not None
