"""One caption at a time: what stands in the editor, how it measures, and that no word of it is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from textual import on
from textual.widgets import Static, TextArea

from registry.errors import HubError
from tui import caption_set
from tui.caption_set import CaptionLine
from tui.screens.caption_edits import CaptionEdits
from tui.widgets.caption_editor import CaptionEditor
from tui.widgets.caption_lists import CaptionList
from tui.widgets.picture import Picture
from tui.widgets.rows import RowList


class CaptionWriting(CaptionEdits):
    """A caption is saved when one leaves it, by whatever way."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._edited: CaptionLine | None = None
        """Whose caption stands in the editor..."""
        self._text = ""
        """...and what stands there; the editor may go before the screen does."""
        self._unsaved: dict[str, str] = {}
        """What could not be written, by the picture's name..."""
        self._gives_up = False
        """...and whether the person was told so when leaving."""

    @on(RowList.Highlighted, "#captions")
    def _chosen(self) -> None:
        """Save what was written, and put the caption under the cursor into the editor."""
        line, before, editor = self.query_one(CaptionList).current, self._edited, self.query_one(CaptionEditor)
        if before is not None and line is not None and before.name == line.name and self._to_save():
            return  # the set was read again while a person writes here
        self.save()
        if line is None or before is None or (line.name, line.caption) != (before.name, before.caption):
            self._text = self._unsaved.pop(line.name, line.caption) if line else ""
            editor.load_text(self._text)
            editor.move_cursor(editor.document.end)
        self._edited = line
        editor.disabled = line is None
        self.query_one(Picture).path = line.path if line else None
        self._measure()
        self.refresh_actions()

    def save(self) -> None:
        """Write the caption in the editor, if a person changed it."""
        unsaved = self._to_save()
        if unsaved is None or self.found is None:
            return
        line, text = unsaved
        self._edited = self.found.line(line.name, line.path, text, "", is_draft=False)
        self.change(
            lambda _: self._write(line, text),
            lambda _: self.read(),
            failed=lambda reason: self._not_saved(line, text, reason),
        )

    def _to_save(self) -> tuple[CaptionLine, str] | None:
        """The picture whose caption a person changed, and the caption."""
        from hubman.train.captioning.caption_text import tidy

        line, text = self._edited, tidy(self._text)
        return None if line is None or text == line.caption else (line, text)

    def _write(self, line: CaptionLine, text: str) -> None:
        from hubman.train.captioning.captions import write_caption

        with self.writing:
            write_caption(line.path, text, folder=self.folder)

    def _not_saved(self, line: CaptionLine, text: str, reason: str) -> None:
        """The words stay in the editor, or wait there for the person to come back to the picture."""
        self.complain(f"{line.name} is not saved: {reason}")
        if self._edited is not None and self._edited.name == line.name:
            self._edited = line
        else:
            self._unsaved[line.name] = text

    def _save_now(self) -> bool:
        """Write everything that is not saved before this screen goes; whether that worked."""
        unsaved = self._to_save()
        waiting = {line.name: line for line in (self.found.lines if self.found else ())}
        pairs = [(waiting[name], text) for name, text in self._unsaved.items() if name in waiting]
        try:
            for line, text in [*pairs, *([unsaved] if unsaved else [])]:
                self._write(line, text)
        except HubError as error:
            self.complain(f"not all is saved: {error}; once more leaves without it")
            return False
        self._unsaved.clear()
        if unsaved:
            self._edited = replace(unsaved[0], caption=unsaved[1])
        return True

    def on_unmount(self) -> None:
        if not self._gives_up:
            self._save_now()

    @on(TextArea.Changed, "#editor")
    def _measure(self) -> None:
        found, text = self.found, self.query_one(CaptionEditor).text
        self._text = text
        measure = self.query_one("#measure", Static)
        if found is None or self._edited is None:
            measure.update("")
            return
        from textual.content import Content

        tokens, too_many = caption_set.token_words(found, text)
        trigger, missing = caption_set.trigger_words(found, text)
        state = self._edited.problem or ("draft" if self._edited.is_draft else "")
        if self._to_save():
            state = "not saved yet"
        parts = [
            Content.styled(tokens, "$text-error" if too_many else ""),
            Content.styled(trigger, "$text-warning" if missing and text.strip() else ""),
            Content.styled(state, "$text-accent"),
        ]
        measure.update(Content(" · ").join([part for part in parts if part.plain]))

    @on(CaptionEditor.Stepped)
    def _step(self, event: CaptionEditor.Stepped) -> None:
        self.query_one(CaptionList).cursor += event.by

    @on(CaptionEditor.Left)
    def _leave_editor(self) -> None:
        self.save()
        self.query_one(CaptionList).focus()

    def on_descendant_blur(self) -> None:
        self.save()

    def leave(self) -> bool:
        if self._gives_up or self._save_now():
            return super().leave()
        self._gives_up = True
        return True
