"""The prompt of the Generate screen: its tags, what completes them, and what there is to say of all that is set up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual import on
from textual.widgets import Static, TextArea

from tui import generation
from tui.generation import Setup, StackItem
from tui.screens.generate_setup import GenerateSetup
from tui.widgets.prompt_editor import PromptEditor
from tui.widgets.rows import RowList
from tui.widgets.stack import CompletionList, StackList

if TYPE_CHECKING:
    from registry.database import Registry
    from tui.completing import Completion
    from tui.remarks import Remark


class GeneratePrompt(GenerateSetup):
    """The words, and the remarks on everything."""

    @property
    def editor(self) -> PromptEditor:
        return self.query_one(PromptEditor)

    @property
    def completions(self) -> CompletionList:
        return self.query_one(CompletionList)

    def do_prompt(self) -> None:
        self.editor.focus()

    def take_prompt(self, text: str) -> None:
        """Write ``text`` in the place of the prompt; LoRAs that it names go on the stack if they are here."""
        self.editor.text = text

    def show_words(self, setup: Setup) -> None:
        """Show the prompt, unless that is what is being written."""
        from tui import completing

        if completing.without_begun(self.editor.text).strip() != setup.words:
            self.editor.text = setup.words
            self.editor.move_cursor(self.editor.document.end)

    @on(TextArea.Changed, "#prompt")
    def _prompt_changed(self) -> None:
        from tui import completing

        text = completing.without_begun(self.editor.text)
        if "<lora:" in text and ">" in text:
            self._take_tags(text)
        elif text.strip() != self.setup.words:
            self.become(replace(self.setup, words=text.strip()))

    def _take_tags(self, text: str) -> None:
        from tui import completing

        def show(found: tuple[str, list[StackItem], list[str]]) -> None:
            words, items, problems = found
            if completing.without_begun(self.editor.text) == text:
                if items:
                    self.push_items(items, words=words)
                elif text.strip() != self.setup.words:
                    self.become(replace(self.setup, words=text.strip()))
            if problems:
                self.complain(problems[0])

        self.in_thread(lambda registry: generation.take_tags(registry, text), show, group="tags")

    # completion ---------------------------------------------------------------------------------------------------

    @on(PromptEditor.Begun)
    def _begun(self, event: PromptEditor.Begun) -> None:
        part = event.part
        if part is None:
            self._close_completions()
            return

        def find(registry: Registry) -> list[Completion]:
            from tui import completing

            return completing.find(registry, part, self.setup.settings.base)

        self.in_thread(find, self._show_completions, group="completions")

    def _show_completions(self, found: list[Completion]) -> None:
        from tui import completing

        if completing.begun(self.editor.before) is None:
            return
        rows = self.completions
        rows.empty = "No LoRA of the library is called so."
        rows.set_items(found, cursor=0)
        rows.styles.height = max(1, min(6, len(found)))
        rows.display = self.editor.completes = True

    def _close_completions(self) -> None:
        self.completions.display = self.editor.completes = False

    @on(PromptEditor.Stepped)
    def _stepped(self, event: PromptEditor.Stepped) -> None:
        self.completions.cursor += event.by

    @on(PromptEditor.Taken)
    @on(RowList.Chosen, "#completions")
    def _taken(self) -> None:
        chosen = self.completions.current
        self._close_completions()
        if chosen is not None:
            self.editor.write_tag(chosen.tag)
            self.editor.focus()

    @on(PromptEditor.Left)
    def _left(self) -> None:
        if self.editor.completes:
            self._close_completions()
        else:
            self.stack.focus()

    # words --------------------------------------------------------------------------------------------------------

    def do_words(self) -> None:
        """Add one of the LoRA's trigger words to the prompt."""
        from tui.widgets.dialogs import Choose

        item = self.item
        if item is None:
            return

        def chosen(word: str | None) -> None:
            if word:
                words = f"{self.setup.words}, {word}" if self.setup.words else word
                self.become(replace(self.setup, words=words))

        if len(item.trigger_words) == 1:
            chosen(item.trigger_words[0])
            return
        folded = self.setup.words.casefold()
        options = [(word, word, "in the prompt" if word.casefold() in folded else "") for word in item.trigger_words]
        self.app.push_screen(Choose(f"trigger words of {item.alias}", options), chosen)

    async def do_copy(self) -> None:
        from tui.screens import handing

        await handing.copy_text(self, self.setup.prompt)

    # remarks ------------------------------------------------------------------------------------------------------

    def look_over(self) -> None:
        setup, limit = self.setup, self.limit
        self.refresh_actions()

        def look(registry: Registry) -> tuple[tuple[Remark, ...], str, str]:
            from tui import generate_grid, remarks

            found, meter = remarks.of_setup(registry, setup)
            size = ""
            if setup.axes:
                plan = generate_grid.plan_of(registry, setup, limit=limit)
                found, size = (*found, *generate_grid.remarks(plan)), generate_grid.size_of(plan)
            return found, remarks.meter_line(meter, setup.stack), size

        self.in_thread(
            look, lambda found: self._show_remarks(*found), group="remarks",
            failed=lambda why: self._show_remarks((), "", "", why),
        )  # fmt: skip

    def _show_remarks(self, found: tuple[Remark, ...], meter: str, size: str, reason: str = "") -> None:
        self.remarks = found
        self.query_one("#axes-title", Static).update(f"Grid  {size}")
        self.put("#meter", meter, grows=True)
        words: dict[str, str] = {}
        for remark in found:
            for sha256 in remark.about:
                words.setdefault(sha256, remark.word)
        rows = self.query_one(StackList)
        rows.words = words
        rows.refresh()
        lines = [_line(remark) for remark in found]
        self.put("#warnings", reason or "\n".join(lines), grows=True)
        self.refresh_actions()

    @property
    def fixable(self) -> list[Remark]:
        return [remark for remark in self.remarks if remark.mend is not None]

    def do_fix(self) -> None:
        self._apply(self.fixable[0])

    def _apply(self, remark: Remark) -> None:
        if remark.mend is not None:
            self.become(remark.mend(self.setup))

    def do_remarks(self) -> None:
        """Show all remarks, to apply the fix of any."""
        from tui.widgets.dialogs import Choose

        known = self.remarks
        options = [(str(number), remark.text, remark.fix or remark.reason) for number, remark in enumerate(known)]

        def chosen(number: str | None) -> None:
            if number is None:
                return
            remark = known[int(number)]
            if remark.mend is None:
                self.complain(f"{remark.text}: {remark.reason}")
            else:
                self._apply(remark)

        self.app.push_screen(Choose("remarks: enter applies the fix", options), chosen)


def _line(remark: Remark) -> str:
    fix = f" (F: {remark.fix})" if remark.mend is not None and remark.fix else ""
    reason = f": {remark.reason}" if remark.reason else ""
    return f"{'✗' if remark.is_error else '!'} {remark.text}{fix}{reason}"


class Remarks(Static):
    """The remarks in words; a click opens them, to apply their fixes."""

    def __init__(self, *, id: str) -> None:
        super().__init__("", id=id, markup=False)

    async def on_click(self) -> None:
        await self.run_action("screen.act('generate.remarks')")
