"""Questions with suggestions: one of many names, or several words, found by writing a part of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from registry.errors import HubError
from tui.widgets.dialogs import FRAME, Options, Question
from tui.widgets.rows import RowList

_LINES = 10
_KEYS: list[BindingType] = [
    Binding("escape", "dismiss(None)", "Cancel", show=False),
    Binding("down", "step(1)", "Next", show=False, priority=True),
    Binding("up", "step(-1)", "Previous", show=False, priority=True),
    Binding("f8", "app.act('app.privacy')", "Hide what is private", show=False, priority=True),
]


class _Listed(Question[str]):
    """A line to write in, and below it the suggestions that have what was written."""

    BINDINGS: ClassVar[list[BindingType]] = _KEYS
    SAYS: ClassVar[str] = "enter takes it  esc cancels"

    def __init__(self, title: str, value: str, suggestions: Sequence[str], *, hint: str) -> None:
        super().__init__()
        self._title, self._value, self._hint = title, value, hint
        self._suggestions = list(dict.fromkeys(suggestions))

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = self._title
            frame.border_subtitle = self.SAYS
            yield Input(self._value, select_on_focus=False)
            yield Options()
            yield Static(self._hint, id="hint", markup=False)
            yield Static("", id="error", markup=False)

    def on_mount(self) -> None:
        self.query_one(Options).can_focus = False
        self.query_one(Options).styles.height = min(_LINES, max(1, len(self._suggestions)))
        self._filter()

    @on(Input.Changed)
    def _filter(self) -> None:
        self.complain("")
        word = self.wanted().lower()
        fitting = [one for one in self._suggestions if word in one.lower()]
        fitting.sort(key=lambda one: not one.lower().startswith(word))
        rows = self.query_one(Options)
        rows.empty = "nothing that is known has that in its name"
        rows.set_items([(one, one, "") for one in fitting], cursor=0)

    @abstractmethod
    def wanted(self) -> str:
        """What the suggestions have to have."""

    def action_step(self, by: int) -> None:
        self.query_one(Options).cursor += by

    def suggest(self, more: Sequence[str]) -> None:
        """Offer further ones, which came late."""
        self._suggestions = list(dict.fromkeys((*self._suggestions, *more)))
        if self.is_mounted:
            self.query_one(Options).styles.height = min(_LINES, max(1, len(self._suggestions)))
            self._filter()


class PickOne(_Listed):
    """One of the suggestions, and nothing else."""

    DEFAULT_CSS = FRAME.format(name="PickOne") + "PickOne Options { max-height: 10; background: $surface; }"

    def __init__(self, title: str, suggestions: Sequence[str], *, at: str = "", hint: str = "") -> None:
        super().__init__(title, "", suggestions, hint=f"{hint}; now {at}" if at else hint)
        self._at = at

    def on_mount(self) -> None:
        super().on_mount()
        if self._at in self._suggestions:
            self.query_one(Options).cursor = self._suggestions.index(self._at)

    def wanted(self) -> str:
        return self.query_one(Input).value.strip()

    @on(Input.Submitted)
    @on(RowList.Chosen)
    def _done(self) -> None:
        option = self.query_one(Options).current
        if option is not None:
            self.dismiss(option[0])


class PickWords(_Listed):
    """Words with commas between them; tab completes the last one, which need not be known."""

    SAYS = "tab completes  enter saves  esc cancels"
    BINDINGS: ClassVar[list[BindingType]] = [*_KEYS, Binding("tab", "complete", "Complete", show=False, priority=True)]
    DEFAULT_CSS = FRAME.format(name="PickWords") + "PickWords Options { max-height: 10; background: $surface; }"

    def __init__(
        self,
        title: str,
        value: str,
        suggestions: Sequence[str],
        *,
        hint: str = "",
        check: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(title, value, suggestions, hint=hint)
        self._check = check

    def wanted(self) -> str:
        return self.query_one(Input).value.rpartition(",")[2].strip()

    def action_complete(self) -> None:
        option = self.query_one(Options).current
        if option is None:
            return
        field = self.query_one(Input)
        before = [word.strip() for word in field.value.split(",")[:-1]]
        field.value = ", ".join([*before, option[0]]) + ", "
        field.cursor_position = len(field.value)

    @on(Input.Submitted)
    def _done(self) -> None:
        try:
            if self._check is not None:
                self._check(self.query_one(Input).value)
        except HubError as error:
            self.complain(str(error))
        else:
            self.dismiss(self.query_one(Input).value.strip().strip(","))

    @on(RowList.Chosen)
    def _clicked(self) -> None:
        self.action_complete()
