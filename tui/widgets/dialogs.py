"""Small questions over the screen: a line, a text, a choice, a yes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TextArea

from registry.errors import HubError
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

Answer = TypeVar("Answer")
_PRIVACY = Binding("X", "app.act('app.privacy')", "Hide what is private", show=False)
_CANCEL: list[BindingType] = [Binding("escape", "dismiss(None)", "Cancel", show=False), _PRIVACY]

FRAME = """
{name} {{ align: center middle; background: $background 60%; }}
{name} > Vertical {{
    width: 76; max-width: 96%; height: auto; max-height: 90%; background: $surface; border: round $primary; padding: 0 1;
    border-title-color: $text-primary; border-title-style: bold; border-subtitle-color: $text-muted;
}}
{name} #hint {{ color: $text-muted; height: auto; }}
{name} #remark {{ color: $text-warning; height: auto; display: none; }}
{name} #error {{ color: $text-error; height: auto; display: none; }}
{name} #error.-shown, {name} #remark.-shown {{ display: block; }}
{name} Input, {name} Input:focus {{ border: none; height: 1; background: $panel; padding: 0 1; margin: 1 0; }}
"""


class Question(ModalScreen[Answer | None], Generic[Answer]):
    BINDINGS: ClassVar[list[BindingType]] = _CANCEL

    def complain(self, reason: str) -> None:
        """Say under the field what is wrong with it."""
        error = self.query_one("#error", Static)
        error.update(reason)
        error.set_class(bool(reason), "-shown")


class Ask(Question[str]):
    """One line of text. ``check`` may raise ``HubError``: its text stands under the field until it is right.

    ``remark`` says something of what is being written that does not keep it from being right. What is ``secret`` is
    not shown.
    """

    DEFAULT_CSS = FRAME.format(name="Ask")

    def __init__(
        self,
        title: str,
        value: str = "",
        *,
        hint: str = "",
        check: Callable[[str], object] | None = None,
        remark: Callable[[str], str] | None = None,
        secret: bool = False,
    ) -> None:
        super().__init__()
        self._title, self._value, self._hint, self._check = title, value, hint, check
        self._remark, self._secret = remark, secret

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = self._title
            frame.border_subtitle = "enter saves  esc cancels"
            yield Input(self._value, select_on_focus=False, password=self._secret)
            yield Static(self._hint, id="hint", markup=False)
            yield Static("", id="remark", markup=False)
            yield Static("", id="error", markup=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        self.complain("")
        said = self._remark(event.value) if self._remark is not None else ""
        remark = self.query_one("#remark", Static)
        remark.update(said)
        remark.set_class(bool(said), "-shown")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            if self._check is not None:
                self._check(event.value)
        except HubError as error:
            self.complain(str(error))
        else:
            self.dismiss(event.value)


class AskText(Question[str]):
    """Several lines of text."""

    BINDINGS: ClassVar[list[BindingType]] = [*_CANCEL, Binding("ctrl+s", "save", "Save", show=False, priority=True)]
    DEFAULT_CSS = FRAME.format(name="AskText") + "AskText TextArea { height: 14; border: none; padding: 0; }"

    def __init__(self, title: str, value: str = "") -> None:
        super().__init__()
        self._title, self._value = title, value

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = self._title
            frame.border_subtitle = "ctrl+s saves  esc cancels"
            yield TextArea(self._value)

    def action_save(self) -> None:
        self.dismiss(self.query_one(TextArea).text)


class Options(RowList["Option"]):
    """The lines of a :class:`Choose`."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 12, grow=True), Column("", 36, drop=1))
    HEADER: ClassVar[bool] = False

    def cells(self, item: Option) -> Sequence[Cell]:
        return [(item[1], ""), (item[2], "muted")]


Option = tuple[str, str, str]
"""(key, text, remark)"""


class Choose(Question[str]):
    """One of several options; answers its key. ``verbs`` are keys that choose it for something else (``verb``)."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss(None)", "Cancel", show=False)]
    DEFAULT_CSS = FRAME.format(name="Choose") + "Choose Options { height: auto; max-height: 24; background: $surface; }"

    def __init__(
        self, title: str, options: Sequence[Option], *, at: str = "", verbs: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._title, self._options, self._at = title, options, at
        self._verbs = verbs or {}
        self.verb = ""

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = self._title
            said = [f"{key} {verb}s" for key, verb in self._verbs.items()]
            frame.border_subtitle = "  ".join(["enter chooses", *said, "esc cancels"])
            yield Options()

    def on_mount(self) -> None:
        rows = self.query_one(Options)
        rows.styles.height = min(20, len(self._options))
        keys = [option[0] for option in self._options]
        rows.set_items(self._options, cursor=keys.index(self._at) if self._at in keys else 0)

    def on_key(self, event: events.Key) -> None:
        verb = self._verbs.get(event.character or "")
        if verb:
            event.stop()
            self.verb = verb
            self.on_row_list_chosen()

    def on_row_list_chosen(self) -> None:
        option = self.query_one(Options).current
        self.dismiss(option[0] if option else None)


class Confirm(Question[bool]):
    """A yes or no; ``y`` or enter say yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "dismiss(True)", "Yes", show=False),
        Binding("n,q,escape", "dismiss(None)", "No", show=False),
    ]
    DEFAULT_CSS = FRAME.format(name="Confirm") + "Confirm #hint { color: $foreground; margin: 1 0; }"

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = self._title
            frame.border_subtitle = "y yes  n no"
            yield Static(self._text, id="hint", markup=False)


class Show(Question[None]):
    """A text to read: a log, an error, a list of keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "dismiss(None)", "Close", show=False)]
    DEFAULT_CSS = (
        FRAME.format(name="Show")
        + "Show > Vertical { width: 100; } Show TextArea { height: 24; border: none; padding: 0; }"
    )

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = self._title
            frame.border_subtitle = "esc closes"
            yield TextArea(self._text, read_only=True, show_cursor=False)
