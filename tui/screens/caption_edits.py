"""What the caption editor does to all captions at once: replace, add, remove, rename, tidy, draft; and undo."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from tui import formats
from tui.screens.base import HubScreen
from tui.widgets.caption_lists import TagList

if TYPE_CHECKING:
    from hubman.train.captioning.captions import Outcome
    from hubman.train.captioning.tags import Place, Rewrite
    from registry.database import Registry
    from tui.caption_set import CaptionSet

_PLACES: tuple[tuple[Place, str, str], ...] = (
    ("end", "at the end", ""),
    ("trigger", "after the trigger", "or first, where the caption lacks it"),
    ("start", "at the start", ""),
)


class CaptionEdits(HubScreen):
    """The screen knows the set as it was ``found``, and can ``read`` it again."""

    found: CaptionSet | None = None

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.writing = Lock()
        """Two edits at once would each carry on the other's."""

    @abstractmethod
    def read(self) -> None:
        """Read the set again and show it."""

    @property
    def _tag(self) -> str:
        """The tag under the cursor of the list of tags, where that has the focus."""
        rows = self.query_one(TagList)
        return rows.current.tag if rows.has_focus and rows.current is not None else ""

    def _with_tag(self, verb: str, done: Callable[[str], object]) -> None:
        """Do something with the tag under the cursor, or one that is chosen now."""
        from tui.widgets.picking import PickOne

        if self._tag or self.found is None:
            done(self._tag)
            return
        tags = [found.tag for found in self.found.tags]

        def chosen(tag: str | None) -> None:
            if tag:
                done(tag)

        self.app.push_screen(PickOne(f"{verb} a tag everywhere", tags, hint="a part of its name finds it"), chosen)

    def edit_all(self, what: str, rewrite: Rewrite) -> None:
        """Carry an edit out and say how many captions it changed."""

        def work(_: Registry) -> tuple[Outcome, int]:
            from hubman.train.captioning import caption_edits

            with self.writing:
                plan = caption_edits.plan(self.folder, what, rewrite)
                return caption_edits.apply(plan), len(plan.unreadable)

        def done(result: tuple[Outcome, int]) -> None:
            outcome, unreadable = result
            count = len(outcome.written)
            left = len(outcome.passed_over) + unreadable
            more = f"; {left} left alone" if left else ""
            said = f"{what}: {formats.count(count, 'caption')}{more}"
            self.say(f"{said}; z takes it back" if count else f"{what}: nothing to change{more}")
            self.read()

        self.change(work, done)

    def do_add(self) -> None:
        from tui.widgets.dialogs import Choose
        from tui.widgets.picking import PickWords

        tags = [found.tag for found in self.found.tags] if self.found else []

        def place(words: str | None) -> None:
            if words and words.strip(" ,"):
                self.app.push_screen(
                    Choose(f"where {formats.one_line(words)} goes", _PLACES), lambda at: add(words, at)
                )

        def add(words: str, at: str | None) -> None:
            from hubman.train.captioning.tags import PLACES, adding

            where = next((place for place in PLACES if place == at), None)
            if where is not None and self.found is not None:
                self.edit_all(f"add {words}", adding([words], where, self.found.trigger))

        hint = "To every caption that lacks them; pictures without a caption stay so."
        self.app.push_screen(PickWords("add tags everywhere", "", tags, hint=hint), place)

    def do_remove(self) -> None:
        from hubman.train.captioning.tags import removing

        self._with_tag("remove", lambda tag: self.edit_all(f"remove {tag}", removing([tag])))

    def do_rename(self) -> None:
        from hubman.train.captioning.tags import renaming
        from tui.widgets.dialogs import Ask

        def ask(tag: str) -> None:
            def done(new: str | None) -> None:
                if new is not None and new.strip(" ,") and new != tag:
                    self.edit_all(f"rename {tag}", renaming(tag, new))

            check = lambda new: renaming(tag, new)  # noqa: E731 - shorter than a name for it
            self.app.push_screen(Ask(f"rename {tag}", tag, hint="In every caption.", check=check), done)

        self._with_tag("rename", ask)

    def do_tidy(self) -> None:
        from hubman.train.captioning.tags import tidying
        from tui.widgets.dialogs import Choose

        options = (
            ("doubles", "remove doubled tags", ""),
            ("sort", "sort the tags as well", "by the alphabet; the first one stays"),
        )

        def done(key: str | None) -> None:
            if key is not None:
                what = "sort tags" if key == "sort" else "remove doubled tags"
                self.edit_all(what, tidying(sort=key == "sort", keep=1))

        self.app.push_screen(Choose("tidy all captions", options), done)

    def do_replace(self) -> None:
        from tui.screens.replace import ReplaceScreen, Replacing

        def done(asked: Replacing | None) -> None:
            if asked is not None:
                self.edit_all(f"replace {asked.old!r} by {asked.new!r}", asked.rewrite)

        if self.found is not None:
            self.app.push_screen(ReplaceScreen(self.found), done)

    def do_undo(self) -> None:
        def work(_: Registry) -> tuple[str, int, int]:
            from hubman.train.captioning import caption_edits

            with self.writing:
                undone = caption_edits.undo(self.folder)
            return undone.what, len(undone.restored), len(undone.passed_over)

        def done(undone: tuple[str, int, int]) -> None:
            what, restored, passed_over = undone
            more = f"; {passed_over} changed elsewhere since, left alone" if passed_over else ""
            self.say(f"undone: {what} ({formats.count(restored, 'caption')}){more}")
            self.read()

        self.change(work, done)

    def do_draft(self) -> None:
        from tui.screens.draft_form import ask_drafts

        ask_drafts(self, self.folder, self.found.trigger if self.found else "")
