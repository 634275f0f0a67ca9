"""The captions of a data set: each beside its picture, and the tags of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input, Static

from tui import actions, caption_set, formats
from tui.caption_set import CaptionSet
from tui.screens.caption_writing import CaptionWriting
from tui.widgets.caption_editor import CaptionEditor
from tui.widgets.caption_lists import CaptionList, TagList
from tui.widgets.picture import Picture
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from tui.services.watch import Snapshot

NO_PICTURES = "No picture here.\n\nesc  goes back"
NOTHING_FOUND = "No caption has that.\n\nesc  shows all"
NO_TAGS = "Tags are what stands between commas."


class CaptionsScreen(CaptionWriting):
    """A list, the picture and its caption, and the tags. A caption is saved when one leaves it."""

    SCOPE = "captions"
    MODE = "train"
    CSS_PATH = "captions.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("captions")]
    AUTO_FOCUS = "#captions"

    def __init__(
        self, folder: Path, *, at: str = "", trigger: str = "", base: Path | None = None, most: int | None = None
    ) -> None:
        """The set in ``folder``; ``at`` names a picture to begin with. Tokens are counted as ``base`` does, at ``most``."""
        super().__init__(folder)
        self._at, self._trigger, self._base, self._most = at, trigger, base, most
        self._words = ""
        """Only captions that have this are listed..."""
        self._only_tag: tuple[str, frozenset[str]] | None = None
        """...or only those with this tag."""
        self._jobs_done: frozenset[str] = frozenset()

    def body(self) -> Iterable[Widget]:
        yield Static("", id="headline", classes="title", markup=False)
        with Horizontal(id="whole"):
            with Vertical(id="left"):
                yield CaptionList(id="captions")
            with Vertical(id="right"):
                with Horizontal(id="one"):
                    yield Picture(id="picture", real=True)
                    with Vertical(id="writing"):
                        yield CaptionEditor(id="editor")
                        yield Static("", id="measure")
                with Vertical(id="tags-pane"):
                    yield Input(placeholder="tags: a part of one finds it (f)", id="tag-filter")
                    yield TagList(id="tags")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(CaptionList).empty = "Reading …"
        self.query_one(Picture).caption = ""
        self.read()

    # reading and showing ------------------------------------------------------------------------------------------

    def read(self) -> None:
        trigger, base, most = self._trigger, self._base, self._most
        self.in_thread(
            lambda _: caption_set.read(self.folder, trigger, base, most), self._show, group="read", failed=self._failed
        )

    def _failed(self, reason: str) -> None:
        rows = self.query_one(CaptionList)
        rows.empty = f"{reason}\n\nesc  goes back"
        rows.set_items([])

    def _show(self, found: CaptionSet) -> None:
        self.found = found
        self.query_one(CaptionEditor).measure_by(found)
        self._list()
        self._list_tags()
        self._show_headline()
        self.refresh_actions()

    def _show_headline(self) -> None:
        found = self.found
        if found is None:
            return
        shown = self.query_one(CaptionList).row_count
        some = f" · {shown} with {self._filter_words}" if self._filter_words else ""
        counted = f"{formats.count(len(found.lines), 'picture')}{some} · {found.headline}"
        said = f"Captions · {counted} · {self.folder.name}"
        self.query_one("#headline", Static).update(said)

    @property
    def _filter_words(self) -> str:
        return f"the tag {self._only_tag[0]}" if self._only_tag else f"“{self._words}”" if self._words else ""

    def _list(self) -> None:
        """The lines that the filter lets through; the cursor stays on its picture."""
        if self.found is None:
            return
        rows = self.query_one(CaptionList)
        at = self._at or (rows.current.name if rows.current else "")
        self._at = ""
        words = self._words.casefold()
        lines = [
            line
            for line in self.found.lines
            if words in f"{line.name} {line.caption}".casefold()
            and (self._only_tag is None or line.name in self._only_tag[1])
        ]
        place = next((place for place, line in enumerate(lines) if line.name == at), None)
        rows.empty = NOTHING_FOUND if self.found.lines else NO_PICTURES
        rows.set_items(lines, cursor=place)

    def _list_tags(self) -> None:
        if self.found is None:
            return
        words = self.query_one("#tag-filter", Input).value.casefold().strip()
        rows = self.query_one(TagList)
        rows.captions = sum(bool(line.caption) for line in self.found.lines)
        rows.empty = NO_TAGS
        rows.set_items([found for found in self.found.tags if words in found.tag.casefold()])

    # keys ---------------------------------------------------------------------------------------------------------

    def lacks(self, need: str) -> str:
        found = self.found
        if need == "picture" and self.query_one(CaptionList).current is None:
            return "there is no picture under the cursor"
        if need == "tags" and not (found and found.tags):
            return "there are no tags yet"
        if need == "captions" and not (found and any(line.caption for line in found.lines)):
            return "there are no captions yet"
        if need == "undo" and not (found and found.undoable):
            return "there is nothing to undo"
        return ""

    @on(RowList.Chosen, "#captions")
    def do_edit(self) -> None:
        self.query_one(CaptionEditor).focus()

    def do_next(self) -> None:
        self._to_wanting(1)

    def do_previous(self) -> None:
        self._to_wanting(-1)

    def _to_wanting(self, by: int) -> None:
        rows = self.query_one(CaptionList)
        for distance in range(1, rows.row_count + 1):
            place = (rows.cursor + by * distance) % rows.row_count
            line = rows.item(place)
            if line is not None and line.wanting:
                rows.cursor = place
                return
        self.say("nothing is wanting here")

    def do_filter(self) -> None:
        from tui.widgets.dialogs import Ask

        def done(words: str | None) -> None:
            if words is not None:
                self._words, self._only_tag = words.strip(), None
                self._list()
                self._show_headline()

        self.app.push_screen(Ask("captions with", self._words, hint="A part of a caption or a name."), done)

    def do_tags(self) -> None:
        self.query_one("#tag-filter", Input).focus()

    @on(Input.Changed, "#tag-filter")
    def _tags_wanted(self) -> None:
        self._list_tags()

    @on(Input.Submitted, "#tag-filter")
    def _to_tags(self) -> None:
        self.query_one(TagList).focus()

    @on(RowList.Highlighted, "#tags")
    def _tag_chosen(self) -> None:
        self.refresh_actions()

    @on(RowList.Chosen, "#tags")
    def _only_with_tag(self) -> None:
        tag = self.query_one(TagList).current
        if tag is not None:
            self._words, self._only_tag = "", (tag.tag, frozenset(tag.images))
            self._list()
            self._show_headline()
            self.query_one(CaptionList).focus()

    def do_trigger(self) -> None:
        from tui.widgets.dialogs import Ask

        def done(word: str | None) -> None:
            if word is not None:
                self._trigger = " ".join(word.split())
                self.read()

        self.app.push_screen(Ask("trigger word", self._trigger, hint="Every caption should have it."), done)

    def do_back(self) -> None:
        field = self.query_one("#tag-filter", Input)
        if not self.query_one(CaptionList).has_focus:
            if field.has_focus:
                field.value = ""
            self.query_one(CaptionList).focus()
        elif self._words or self._only_tag:
            self._words, self._only_tag = "", None
            self._list()
            self._show_headline()
        else:
            self.leave()

    def show_jobs(self, snapshot: Snapshot) -> None:
        """Drafts appear as they are made."""
        here = [view for view in snapshot.views if view.job.kind == "caption" and self._is_here(view.job.request)]
        done = frozenset(view.job.id for view in here if view.job.ended)
        if self.found is not None and (done - self._jobs_done or len(done) < len(here)):
            self.read()
        self._jobs_done = done

    def _is_here(self, request: Mapping[str, object]) -> bool:
        return request.get("folder") == str(self.folder)
