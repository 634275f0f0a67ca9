"""Choose a folder or a file by writing its path: what is there is listed, tab completes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.folders import expand
from tui.widgets.dialogs import FRAME, Option, Options, Question
from tui.widgets.rows import RowList
from tui.work import begin

_MOST = 200
_LINES = 12


class PickPath(Question[str]):
    """Answers what was written, or the suggestion that the arrows chose.

    ``known`` are (path, text, remark) that are offered while nothing else is written. With ``suffixes`` files of these
    are listed beside folders.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False),
        Binding("down", "step(1)", "Next", show=False, priority=True),
        Binding("up", "step(-1)", "Previous", show=False, priority=True),
        Binding("tab", "complete", "Complete", show=False, priority=True),
        Binding("f8", "app.act('app.privacy')", "Hide what is private", show=False, priority=True),
    ]
    DEFAULT_CSS = FRAME.format(name="PickPath") + "PickPath Options { max-height: 12; background: $surface; }"

    def __init__(
        self, title: str, value: str, known: Sequence[Option] = (), *, hint: str = "", suffixes: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self._title, self._value, self._known, self._hint = title, value, tuple(known), hint
        self._suffixes = frozenset(suffixes)
        self._stepped = False

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = self._title
            frame.border_subtitle = "tab completes  ↓ chooses  enter takes it  esc cancels"
            yield Input(self._value, select_on_focus=False)
            yield Options()
            yield Static(self._hint, id="hint", markup=False)
            yield Static("", id="error", markup=False)

    def on_mount(self) -> None:
        rows = self.query_one(Options)
        rows.can_focus = False
        rows.styles.height = _LINES
        self._list()

    @on(Input.Changed)
    def _list(self) -> None:
        self._stepped = False
        text = self.query_one(Input).value
        begin(self, partial(self._fill, text), group="paths", exclusive=True)

    async def _fill(self, text: str) -> None:
        found = await asyncio.to_thread(below, text, self._suffixes)
        offered = [one for one in self._known if text in {"", self._value} or text.lower() in one[0].lower()]
        rows = self.query_one(Options)
        rows.empty = "There is nothing of that name."
        rows.set_items([*offered, *found], cursor=0)

    def action_step(self, by: int) -> None:
        rows = self.query_one(Options)
        rows.cursor = rows.cursor + by if self._stepped else max(0, by - 1)
        self._stepped = True

    def action_complete(self) -> None:
        option = self.query_one(Options).current
        if option is not None:
            field = self.query_one(Input)
            field.value = option[0]
            field.cursor_position = len(field.value)

    @on(Input.Submitted)
    def _done(self) -> None:
        option = self.query_one(Options).current
        self.dismiss(option[0] if self._stepped and option else self.query_one(Input).value.strip())

    @on(RowList.Chosen)
    def _clicked(self) -> None:
        self._stepped = True
        self._done()


def below(text: str, suffixes: frozenset[str]) -> list[Option]:
    """The folders, and files of ``suffixes``, whose paths begin with ``text``. Reads one folder; for a thread."""
    typed = text if text.strip() else "~/"
    folder, slash, begun = typed.rpartition("/")
    before = folder + slash
    try:
        entries = sorted(expand(before or ".").iterdir(), key=lambda entry: entry.name.lower())
    except (OSError, RuntimeError):
        return []
    fitting = [one for one in entries if one.name.lower().startswith(begun.lower())]
    shown = [one for one in fitting if begun.startswith(".") or not one.name.startswith(".")]
    found: list[Option] = []
    for entry in shown[:_MOST]:
        if _is_folder(entry):
            found.append((f"{before}{entry.name}/", f"{entry.name}/", ""))
        elif entry.suffix.lower() in suffixes:
            found.append((f"{before}{entry.name}", entry.name, ""))
    return found


def _is_folder(entry: Path) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
