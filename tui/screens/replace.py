"""Search and replace over all captions, with what would change shown while one writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from registry.errors import HubError
from tui import formats
from tui.widgets.caption_lists import ChangeLine, ChangeList

if TYPE_CHECKING:
    from tui.caption_set import CaptionSet


@dataclass(frozen=True)
class Replacing:
    """What is to be replaced by what."""

    old: str
    new: str
    rewrite: Callable[[str], str]


class ReplaceScreen(ModalScreen[Replacing | None]):
    """Answers what was asked for, once it is right and changes something."""

    CSS_PATH = "replace.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False),
        Binding("f3", "regex", "Regular expression", show=False),
        Binding("f4", "case", "Upper and lower case", show=False),
        Binding("down", "step(1)", "Next", show=False, priority=True),
        Binding("up", "step(-1)", "Previous", show=False, priority=True),
    ]

    def __init__(self, found: CaptionSet) -> None:
        super().__init__()
        self._found = found
        self._is_regex = False
        self._ignores_case = False
        self._asked: Replacing | None = None

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = "replace in all captions"
            frame.border_subtitle = "tab other field  enter replaces  esc cancels"
            with Horizontal():
                yield Static("search", classes="label")
                yield Input(id="old")
            with Horizontal():
                yield Static("put", classes="label")
                yield Input(id="new")
            yield Static("", id="how", markup=False)
            yield ChangeList()

    def on_mount(self) -> None:
        self.query_one(ChangeList).can_focus = False
        self._show()

    def action_regex(self) -> None:
        self._is_regex = not self._is_regex
        self._show()

    def action_case(self) -> None:
        self._ignores_case = not self._ignores_case
        self._show()

    def action_step(self, by: int) -> None:
        self.query_one(ChangeList).cursor += by

    @on(Input.Changed)
    def _show(self) -> None:
        from hubman.train.captioning.caption_text import tidy
        from hubman.train.captioning.tags import replacing

        old, new = self.query_one("#old", Input).value, self.query_one("#new", Input).value
        rows = self.query_one(ChangeList)
        self._asked, changes = None, list[ChangeLine]()
        rows.empty = "What would change stands here."
        if old:
            try:
                rewrite = replacing(old, new, regex=self._is_regex, ignore_case=self._ignores_case)
            except HubError as error:
                rows.empty = str(error)
            else:
                for line in self._found.lines:
                    after = tidy("\n".join(rewrite(each) for each in line.caption.splitlines()))
                    if after != line.caption:
                        changes.append(ChangeLine(line.name, line.caption, after))
                rows.empty = "No caption has that."
                self._asked = Replacing(old, new, rewrite) if changes else None
        rows.set_items(changes, cursor=0)
        kind = "regular expression" if self._is_regex else "plain text"
        case = "any case" if self._ignores_case else "case as written"
        self.query_one("#how", Static).update(f"{formats.count(len(changes), 'caption')}  ·  F3 {kind}  ·  F4 {case}")

    @on(Input.Submitted)
    def _done(self) -> None:
        if self._asked is not None:
            self.dismiss(self._asked)
