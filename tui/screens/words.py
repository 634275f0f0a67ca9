"""The trigger words of a version: which go into a copy, and which belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from registry import triggers
from registry.errors import UsageError
from registry.triggers import Trigger
from tui import actions, formats
from tui.acting import Acting
from tui.widgets.action_bar import ActionBar
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from registry.records import ModelDetail, VersionRow
    from tui.screens.library_use import LibraryUse


class TriggerList(RowList[Trigger]):
    """A word a line, those of one group together."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("Word", 20, grow=True),
        Column("Group", 16, drop=1),
        Column("In a copy", 12, drop=2),
    )

    def cells(self, item: Trigger) -> Sequence[Cell]:
        return (
            ("●" if item.is_required else "○", "good" if item.is_required else "muted"),
            (formats.one_line(item.word), "" if item.is_required else "muted"),
            (formats.one_line(item.group), "accent"),
            ("copied" if item.is_required else "left out", "muted"),
        )


class WordsScreen(ModalScreen[list[Trigger] | None], Acting):
    """Answers the words as they were left, or None where nothing changed."""

    SCOPE = "words"
    CSS_PATH = "words.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("words")]

    def __init__(self, model: ModelDetail, version: VersionRow) -> None:
        super().__init__()
        self._model, self._version = model, version
        self._before = triggers.of(version.trigger_words, version.trigger_groups)
        self._said = list(self._before)

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = f"trigger words of {formats.one_line(self._model.name)}"
            frame.border_subtitle = "esc saves"
            rows = TriggerList()
            rows.empty = "No trigger words are known.\n\na    adds some\nesc  goes back"
            yield rows
            yield ActionBar("words")

    def on_mount(self) -> None:
        self._show()

    @property
    def _rows(self) -> TriggerList:
        return self.query_one(TriggerList)

    def lacks(self, need: str) -> str:
        return "there is no word under the cursor" if need == "word" and not self._said else ""

    def _show(self, to: Trigger | None = None) -> None:
        names = list(dict.fromkeys(["", *(one.group for one in self._said)]))
        self._said.sort(key=lambda one: names.index(one.group))
        self._rows.set_items(list(self._said), cursor=self._said.index(to) if to in self._said else None)
        self.query_one(ActionBar).refresh()

    def _replace(self, change: Callable[[Trigger], Trigger]) -> None:
        at = self._rows.cursor
        self._said[at] = changed = change(self._said[at])
        self._show(changed)

    def do_toggle(self) -> None:
        self._replace(lambda one: Trigger(one.word, one.group, not one.is_required))

    def on_row_list_chosen(self) -> None:
        self.do_toggle()

    def do_add(self) -> None:
        from tui.widgets.dialogs import Ask

        def done(text: str | None) -> None:
            known = {one.word for one in self._said}
            words = [" ".join(word.split()) for word in (text or "").split(",")]
            self._said += [Trigger(word) for word in dict.fromkeys(words) if word and word not in known]
            self._show()

        self.app.push_screen(Ask("add trigger words", hint="Words, with commas between them."), done)

    def do_remove(self) -> None:
        del self._said[self._rows.cursor]
        self._show()

    def do_group(self) -> None:
        from tui.widgets.dialogs import Ask

        one = self._said[self._rows.cursor]

        def done(name: str | None) -> None:
            if name is not None:
                self._replace(lambda one: Trigger(one.word, " ".join(name.split()), one.is_required))

        hint = "Words of one group stand together, such as outfit. Empty means no group."
        self.app.push_screen(Ask(f"group of {one.word}", one.group, hint=hint, check=_check_group), done)

    async def do_copy(self) -> None:
        await self._copy()

    async def do_copy_tag(self) -> None:
        from registry import prompt_name

        name = prompt_name.of(self._model, self._version)
        await self._copy(formats.lora_tag(name, self._version.strength))

    async def _copy(self, *more: str) -> None:
        words = [one.word for one in self._said if one.is_required]
        library = cast("LibraryUse", self.app.screen_stack[-2])
        await library.copy_text(", ".join([*words, *more]))

    def do_save(self) -> None:
        self.dismiss(self._said if self._said != self._before else None)


def _check_group(name: str) -> None:
    if any(char in name for char in ":;,?"):
        raise UsageError("a group's name has no : ; , or ?", "use letters, digits and spaces")
