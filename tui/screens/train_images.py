"""The left of mode 3: images with what the checks say, left out and taken back, captioned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from textual import on

from tui import data_set
from tui.data_set import ImageLine, Sheet, Shown
from tui.folders import expand
from tui.screens.train_base import Reading, TrainBase
from tui.widgets.crop_picture import CropPicture
from tui.widgets.cropped import Crop
from tui.widgets.image_lists import ImageList, ImageSheet
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from hubman.progress import Progress
    from hubman.train.recent import Recent
    from hubman.train.recipe import Recipe
    from registry.database import Registry
    from tui.recipes import Draft

_NOTHING = {
    "all": "There are no images here.",
    "findings": "The checks found nothing to complain about.\n\nf  shows all images",
    "duplicates": "No two images look alike.\n\nD  shows all images",
}


class TrainImages(TrainBase):
    """A list, or with ``c`` a contact sheet, of the same lines."""

    _shown: Shown = "all"
    _checks: Literal["", "once", "again"] = ""
    """Whether the set is being checked, and has to be once more."""
    _read_for: str = ""
    """The folder that is being read, for the first word of its progress."""

    @property
    def images(self) -> RowList[ImageLine]:
        """The list or the sheet, whichever is shown."""
        return self.query_one(ImageSheet) if self.has_class("-sheet") else self.query_one(ImageList)

    @property
    def line(self) -> ImageLine | None:
        return self.images.current

    # reading ------------------------------------------------------------------------------------------------------

    def do_dataset(self) -> None:
        self.in_thread(_recent, self._ask_folder, group="recent")

    def _ask_folder(self, recent: Recent) -> None:
        from tui.screens.pick_path import PickPath

        start = f"{self.sheet.dataset.folder}/" if self.sheet else "~/"
        known = [(folder, Path(folder).name, f"used before, {Path(folder).parent}") for folder in recent.datasets]

        def done(text: str | None) -> None:
            if text:
                self.open_dataset(expand(text))

        hint = "The folder that holds the training images, in it or in folders below it."
        self.app.push_screen(PickPath("images", start, known, hint=hint), done)

    def open_dataset(self, folder: Path, recipe: Recipe | None = None) -> None:
        self._read_for = folder.name
        self._tell(f"Reading {folder} …")
        base, kind = self.base, self.kind
        before = self.draft if self.draft and self.draft.recipe.dataset == str(folder) and recipe is None else None

        def work(registry: Registry) -> tuple[Sheet, Draft | None, str]:
            from tui import training_set

            return training_set.read(registry, folder, recipe, before, base, kind, self._report)

        def done(found: tuple[Sheet, Draft | None, str]) -> None:
            sheet, draft, problem = found
            edited_meanwhile = before is not None and self.draft is not before
            self._show_read(sheet, self.draft if edited_meanwhile else draft, problem)

        self.in_thread(work, done, group="dataset", failed=self._tell)

    def _report(self, progress: Progress) -> None:
        """Called in the reading thread."""
        self.post_message(Reading(int(progress.done), int(progress.total)))

    @on(Reading)
    def _show_reading(self, event: Reading) -> None:
        if self._read_for and event.total:
            self._tell(f"Reading {self._read_for}: {event.done:,} of {event.total:,} images …")

    def _tell(self, text: str) -> None:
        """Say something where the images will stand; what stands there stays."""
        self.said = text
        for rows in (self.query_one(ImageList), self.query_one(ImageSheet)):
            rows.empty = text
        self.put("#start-said", text, grows=True)
        if self.sheet is not None:
            self.put("#data-title", text.partition("\n")[0])

    def _show_read(self, sheet: Sheet, draft: Draft | None, problem: str) -> None:
        same = self.sheet is not None and self.sheet.dataset.folder == sheet.dataset.folder
        self._read_for = self.said = ""
        self.sheet = sheet
        if draft is not None:
            self.draft = draft
            self.base, self.kind = draft.base, draft.recipe.kind
        if not same:
            self._shown = "all"
            self._undone.clear()
        if problem:
            self.complain(problem)
        self.show_sheet()
        self.show_recipe()
        self.show_choices()

    def check(self) -> None:
        if self._checks:
            self._checks = "again"
            return
        sheet, recipe = self.sheet, self.draft.recipe if self.draft else None
        if sheet is None:
            return

        def work(registry: Registry) -> Sheet:
            from tui import training_set

            return training_set.checked(registry.home, sheet.dataset, recipe)

        def done(found: Sheet) -> None:
            # What was left out meanwhile is checked by itself.
            if self.sheet is not None and self.sheet.dataset is sheet.dataset:
                self.sheet = found
                self.show_sheet()
                self.show_choices()
            self._checked()

        def failed(reason: str) -> None:
            self.complain(reason)
            self._checked()

        self._checks = "once"
        self.in_thread(work, done, group="check", failed=failed)

    def _checked(self) -> None:
        """A thousand images take seconds: what was asked meanwhile is answered by one more look, not by one each."""
        again, self._checks = self._checks == "again", ""
        if again:
            self.check()

    # showing ------------------------------------------------------------------------------------------------------

    def show_sheet(self) -> None:
        sheet = self.sheet
        if sheet is None:
            return
        lines = sheet.lines(self._shown)
        at = self._place(lines)
        for rows in (self.query_one(ImageList), self.query_one(ImageSheet)):
            rows.empty = _NOTHING[self._shown]
            rows.set_items(lines, cursor=at)
        shown = {"all": "", "findings": " · with findings", "duplicates": " · look-alikes"}[self._shown]
        self.put("#data-title", f"{sheet.dataset.folder.name}{shown}")
        self.put("#data-line", sheet.headline, grows=True)
        self.refresh_actions()

    def _place(self, lines: list[ImageLine]) -> int | None:
        """Where the image under the cursor stands now."""
        current = self.line
        name = current.image.name if current and current.image else None
        found = (number for number, line in enumerate(lines) if (line.image.name if line.image else None) == name)
        return next(found, None) if current else None

    @on(RowList.Highlighted, "#images, #sheet")
    def _image_chosen(self, event: RowList.Highlighted) -> None:
        if event.rows is not self.images:
            return
        self.refresh_actions()
        line = self.line
        self.query_one(CropPicture).show(Crop.of(line) if line else None)
        self.put("#findings", data_set.words(line) if line else "")

    def do_cards(self) -> None:
        at, had_focus = self.images.cursor, self.images.has_focus
        self.toggle_class("-sheet")
        self.images.cursor = at
        if had_focus:
            self.images.focus()

    def do_duplicates(self) -> None:
        self._show_only("duplicates")

    def _show_only(self, what: Shown) -> None:
        self._shown = "all" if self._shown == what else what
        self.show_sheet()

    # leaving out --------------------------------------------------------------------------------------------------

    def turn_image(self) -> None:
        """Leave the image under the cursor out of the training, or take it back."""
        line = self.line
        if line is not None and line.image is not None:
            self.leave_out([line.image.name], left=not line.is_out)

    def do_keep(self) -> None:
        """Leave out the other images of its group of duplicates."""
        line, sheet = self.line, self.sheet
        if sheet is not None and line is not None and line.image is not None:
            self.leave_out(sheet.twins_of(line.image.name), left=True)

    def do_clean(self) -> None:
        from hubman.train.checks import worth_leaving

        if self.sheet is not None:
            names = worth_leaving(self.sheet.findings)
            if names:
                self.leave_out(names, left=True)
                self.say(f"left out {len(names)}; z takes them back", private="left some out")
            else:
                self.say("nothing here does harm", private="nothing here does harm")

    def leave_out(self, names: Iterable[str], *, left: bool, undoing: bool = False) -> None:
        """Shown at once, then written into the list beside the images, then checked anew."""
        sheet = self.sheet
        if sheet is None:
            return
        were = {image.name for image in sheet.dataset.images if image.left_out}
        moved = [name for name in names if (name in were) != left]
        folder = sheet.dataset.folder

        def work(_: Registry) -> None:
            from hubman.train.data import left_out

            (left_out.leave if left else left_out.take)(folder, moved)

        def failed(reason: str) -> None:
            self.complain(reason)
            self.open_dataset(folder)

        if not undoing:
            what = moved[0] if len(moved) == 1 else f"{len(moved)} images"
            name = f"{'leaving out' if left else 'taking back'} {what}"
            self.remember(name, lambda: self.leave_out(moved, left=not left, undoing=True))
        self.sheet = sheet.marked(moved, left=left)
        self.show_sheet()
        self.change(work, lambda _: self._left(), failed=failed)

    def _left(self) -> None:
        from tui import recipes

        if self.draft is not None and self.sheet is not None:
            self.draft = recipes.with_images(self.draft, len(self.sheet.dataset.usable))
            self.show_recipe()
        self.check()

    # captions -----------------------------------------------------------------------------------------------------

    def do_captions(self) -> None:
        """Over the whole set, beginning with the image under the cursor."""
        from tui.screens.captions import CaptionsScreen

        line, recipe = self.line, self.draft.recipe if self.draft else None
        if self.sheet is None:
            return
        screen = CaptionsScreen(
            self.sheet.dataset.folder,
            at=line.image.name if line is not None and line.image is not None else "",
            trigger=recipe.trigger if recipe else "",
            base=Path(recipe.base) if recipe else None,
            most=recipe.captions.max_tokens if recipe else None,
        )
        self.app.push_screen(screen, lambda _: self.read_again())

    def read_again(self) -> None:
        """After captions or images were changed by something else than this screen."""
        if self.sheet is not None:
            self.open_dataset(self.sheet.dataset.folder)

    def do_draft(self) -> None:
        from tui.screens.draft_form import ask_drafts

        if self.sheet is not None:
            ask_drafts(self, self.sheet.dataset.folder, self.draft.recipe.trigger if self.draft else "")


def _recent(registry: Registry) -> Recent:
    from hubman.train.recent import recent

    return recent(registry.home)
