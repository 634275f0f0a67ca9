"""Mode 3: three choices at the start; images with their checks, and the recipe with its reasons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from tui import actions
from tui.screens.train_start import WELCOME, TrainStart
from tui.widgets.crop_picture import CropPicture
from tui.widgets.image_lists import ImageList, ImageSheet
from tui.widgets.recipe_list import RecipeList
from tui.widgets.rows import RowList
from tui.widgets.start_list import StartList

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from registry.database import Registry
    from tui.actions import Action
    from tui.services.watch import Snapshot

EMPTY = """No data set yet.

o    choose a folder of training images
i    the three choices"""


class TrainScreen(TrainStart):
    """The three choices, or data set and recipe side by side; ``r`` shows the trainings over it."""

    SCOPE = "train"
    CSS_PATH = "train.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("train")]
    AUTO_FOCUS = "#choices"

    def __init__(self) -> None:
        super().__init__()
        self._undone = []
        self._captions_done: frozenset[str] = frozenset()

    def body(self) -> Iterable[Widget]:
        with Vertical(id="start"):
            yield Static("A new training", classes="title", markup=False)
            yield StartList(id="choices")
            yield Static(WELCOME, id="start-said", markup=False)
        with Horizontal(id="setup"):
            with Vertical(id="data"):
                yield Static("Images", id="data-title", classes="title", markup=False)
                yield Static("", id="data-line", classes="line", markup=False)
                yield ImageList(id="images")
                yield ImageSheet(id="sheet")
                with Horizontal(id="one"):
                    yield CropPicture(id="picture")
                    yield Static("", id="findings", markup=False)
            with Vertical(id="recipe-pane"):
                yield Static("Recipe", id="recipe-title", classes="title", markup=False)
                yield Static("", id="recipe-line", classes="line", markup=False)
                yield RecipeList(id="recipe")
                yield Static("", id="forecast", markup=False)
                yield Static("", id="reason", markup=False)
                yield Static("", id="clash", markup=False)

    def on_mount(self) -> None:
        self.set_class(True, "-start")
        for rows in (self.query_one(ImageList), self.query_one(ImageSheet)):
            rows.empty = EMPTY
        self.query_one(RecipeList).empty = "The recipe appears with the data set."
        self.show_choices()
        self.read_choices()

    # what is shown ------------------------------------------------------------------------------------------------

    def do_look(self) -> None:
        """From the three choices to images and recipe, or back."""
        self.toggle_class("-start")
        if self.has_class("-start"):
            self.read_choices()
            self.query_one(StartList).focus()
        else:
            self.images.focus()
        self.refresh_actions()

    def do_back(self) -> None:
        if self.has_class("-start"):
            if self.sheet is not None:
                self.do_look()
        elif self.has_class("-sheet"):
            self.do_cards()
        elif self.images.has_focus:
            self.do_look()
        else:
            self.images.focus()

    @property
    def _in_recipe(self) -> bool:
        return self.query_one(RecipeList).has_focus

    # what can be done ---------------------------------------------------------------------------------------------

    def lacks(self, need: str) -> str:
        on_image = self.line is not None and self.line.image is not None
        starting = self.has_class("-start")
        lacking = {
            "dataset": self.sheet is None and "choose a folder of images first (o)",
            "images": (starting or self.sheet is None) and "this needs the list of images (i)",
            "recipe": self.draft is None and "choose a folder of images first (o)",
            "image": (starting or not on_image) and "this needs an image",
            "value": (starting or not self.field) and "this needs a value of the recipe",
            "line": not starting and not (self.field if self._in_recipe else on_image) and "nothing on this line",
            "twin": not (on_image and self._has_twins) and "no other image looks like it",
            "undo": not self._undone and "there is nothing to undo",
        }
        return lacking[need] or ""

    @property
    def _has_twins(self) -> bool:
        line = self.line
        if self.sheet is None or line is None or line.image is None:
            return False
        return bool(self.sheet.twins_of(line.image.name))

    def label_of(self, action: Action) -> str:
        if action.id == "train.turn":
            if self.has_class("-start"):
                return "choose"
            if self._in_recipe:
                return "turn over"
            return "take back" if self.line is not None and self.line.is_out else "leave out"
        if action.id == "train.look":
            return "images and recipe" if self.has_class("-start") else action.label
        if action.id == "train.filter":
            return "only yours" if self._in_recipe else "with findings"
        return action.label

    def do_turn(self) -> None:
        if self.has_class("-start"):
            self.choose_line()
        elif self._in_recipe:
            self.turn_value()
        else:
            self.turn_image()

    def do_edit(self) -> None:
        if self.has_class("-start"):
            self.choose_line()
        elif self._in_recipe:
            self.edit_value()
        else:
            self.do_captions()

    @on(RowList.Chosen, "#images, #sheet, #recipe")
    async def _line_opened(self) -> None:
        await self.action_act("train.edit")

    def do_filter(self) -> None:
        if self._in_recipe:
            self.only_changed()
        else:
            self._show_only("findings")

    def on_descendant_focus(self) -> None:
        self.refresh_actions()

    # trainings ----------------------------------------------------------------------------------------------------

    def do_start(self) -> None:
        from tui import recipes
        from tui.widgets.dialogs import Confirm

        draft, sheet = self.draft, self.sheet
        if draft is None or sheet is None:
            return
        clashing = recipes.clashes(draft.recipe)
        if clashing:
            self.complain(str(clashing[0]))
            return
        errors = [each for each in sheet.findings if each.severity == "error"]
        if not errors:
            self._start(force=False)
            return
        text = "\n".join(f"{each.image or 'the set'}: {each.sentence}" for each in errors[:8])
        if len(errors) > 8:
            text += f"\nand {len(errors) - 8} more"
        text += "\n\nImages that can't be decoded are left out in any case."

        def done(yes: bool | None) -> None:
            if yes:
                self._start(force=True)

        self.app.push_screen(Confirm("Start although the checks found errors?", text), done)

    def _start(self, *, force: bool) -> None:
        draft = self.draft
        if draft is None:
            return

        def work(registry: Registry) -> Job:
            from tui import recipes

            return recipes.start(registry, draft, force=force)

        def started(job: Job) -> None:
            self.hub.poll_soon()
            self.show_job(job)

        self.change(work, started)

    def show_job(self, job: Job) -> None:
        """Show the trainings, at this one."""
        self._open_runs(job.id)

    def do_runs(self) -> None:
        self._open_runs("")

    def _open_runs(self, job_id: str) -> None:
        from tui.screens.train_runs import RunsScreen

        self.app.push_screen(RunsScreen(self.take_recipe, job_id))

    def show_jobs(self, snapshot: Snapshot) -> None:
        done = frozenset(view.job.id for view in snapshot.views if view.job.kind == "caption" and view.job.ended)
        if done - self._captions_done:
            self.read_again()
        self._captions_done = done
