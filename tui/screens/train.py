"""Mode 3: images with their checks, the recipe with its reasons, and the run as it goes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from registry.errors import HubError
from tui import actions, formats
from tui.folders import expand
from tui.screens.base import HubScreen
from tui.screens.train_run import RunPane
from tui.widgets.picture import Picture
from tui.widgets.rows import RowList
from tui.widgets.train_lists import ImageLine, ImageList, RecipeLine, RecipeList

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from hubman.train.checks import Finding
    from hubman.train.dataset import Dataset
    from registry.database import Registry
    from tui.recipes import Draft
    from tui.services.watch import Snapshot

EMPTY = """No dataset yet.

o    choose a folder of training images
r    look at the trainings so far

Images lie directly in the folder, each with a caption in a .txt file of the same name.
Missing captions can be drafted here."""


class TrainScreen(HubScreen):
    """Dataset and recipe side by side; ``r`` turns to the runs."""

    SCOPE = "train"
    CSS_PATH = "train.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("train")]
    AUTO_FOCUS = "#images"

    def __init__(self) -> None:
        super().__init__()
        self._dataset: Dataset | None = None
        self._draft: Draft | None = None
        self._findings: tuple[Finding, ...] = ()
        self._captions_done: frozenset[str] = frozenset()

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="setup"):
            with Vertical(id="data"):
                yield Static("Dataset", id="data-title", classes="title", markup=False)
                yield ImageList(id="images")
                with Horizontal(id="one"):
                    yield Picture(id="picture")
                    yield Static("", id="findings", markup=False)
            with Vertical(id="recipe-pane"):
                yield Static("Recipe", id="recipe-title", classes="title", markup=False)
                yield RecipeList(id="recipe")
                yield Static("", id="reason", markup=False)
        yield RunPane(id="run")

    def on_mount(self) -> None:
        self.query_one(ImageList).empty = EMPTY
        self.query_one(RecipeList).empty = "The recipe appears with the dataset."
        self.query_one(Picture).caption = ""

    def lacks(self, need: str) -> str:
        if need == "dataset" and self._dataset is None:
            return "choose a dataset first (o)"
        if need == "recipe" and self._draft is None:
            return "choose a dataset first (o)"
        if need == "trained" and self._trained is None:
            return "this needs a finished training (r shows them)"
        if need == "line" and not (self._dataset and self._on_line):
            return "nothing to edit on this line"
        return ""

    @property
    def _on_line(self) -> bool:
        if self.query_one(RecipeList).has_focus:
            line = self.query_one(RecipeList).current
            return line is not None and bool(line.name)
        image = self.query_one(ImageList).current
        return image is not None and image.image is not None

    # dataset ------------------------------------------------------------------------------------------------------

    def do_dataset(self) -> None:
        from tui.widgets.dialogs import Ask

        start = str(self._dataset.folder) if self._dataset else "~/"

        def done(text: str | None) -> None:
            if text:
                self.open_dataset(expand(text))

        self.app.push_screen(Ask("dataset", start, hint="The folder that holds the training images."), done)

    def open_dataset(self, folder: Path) -> None:
        """Read, measure and check a folder; the recipe starts from what is in it."""
        rows = self.query_one(ImageList)
        rows.empty = f"Reading {folder} …"
        rows.rows_changed()

        def failed(reason: str) -> None:
            rows.empty = f"{reason}\n\n{EMPTY}"
            rows.rows_changed()

        self.in_thread(lambda registry: _read(registry, folder), self._show_dataset, group="dataset", failed=failed)

    def _show_dataset(self, found: Dataset) -> None:
        from tui import recipes

        self._dataset = found
        if self._draft is None or self._draft.recipe.dataset != str(found.folder):
            try:
                self._draft = recipes.draft(found.folder, len(found.usable))
            except HubError as error:
                self.complain(str(error))
        self._check()

    def _check(self) -> None:
        dataset, draft = self._dataset, self._draft
        if dataset is None:
            return

        def work(_: Registry) -> tuple[Finding, ...]:
            from hubman.train.checks import Rules, check

            recipe = draft.recipe if draft else None
            rules = Rules(resolution=recipe.resolution, trigger=recipe.trigger) if recipe else Rules()
            return check(dataset, rules)

        self.in_thread(work, self._show_findings, group="check")

    def _show_findings(self, findings: tuple[Finding, ...]) -> None:
        if self._dataset is None:
            return
        self._findings = findings
        images = self._dataset.images
        lines = [ImageLine(image, tuple(each for each in findings if each.image == image.name)) for image in images]
        whole = tuple(each for each in findings if each.image is None)
        self.query_one(ImageList).set_items(([ImageLine(None, whole)] if whole else []) + lines)
        errors = sum(each.severity == "error" for each in findings)
        warnings = sum(each.severity == "warn" for each in findings)
        said = ", ".join(
            text
            for count, text in (
                (errors, formats.count(errors, "error")),
                (warnings, formats.count(warnings, "warning")),
            )
            if count
        )
        title = f"{self._dataset.folder.name} · {formats.count(len(images), 'image')} · {said or 'nothing to complain about'}"
        self.query_one("#data-title", Static).update(title)
        self._show_recipe()

    @on(RowList.Highlighted, "#images")
    def _image_chosen(self) -> None:
        self.refresh_actions()
        line = self.query_one(ImageList).current
        picture = self.query_one(Picture)
        picture.path = line.path if line else None
        findings = line.findings if line else ()
        text = "\n".join(f"{each.sentence}: {each.remedy}" for each in findings)
        caption = line.image.caption if line and line.image else ""
        self.query_one("#findings", Static).update("\n\n".join(part for part in (caption, text) if part))

    # recipe -------------------------------------------------------------------------------------------------------

    def _show_recipe(self) -> None:
        from tui import recipes

        draft = self._draft
        if draft is None:
            return
        lines: list[RecipeLine] = []
        for group, names in recipes.groups().items():
            lines.append(RecipeLine(group))
            lines += [RecipeLine(group, name, recipes.text_of(draft, name), name in draft.edited) for name in names]
        rows = self.query_one(RecipeList)
        rows.set_items(lines, cursor=rows.cursor or 1)
        recipe = draft.recipe
        title = (
            f"Recipe · {recipe.kind} on {recipe.family} · {recipe.length.steps:,} steps, {recipe.length.epochs} epochs"
        )
        self.query_one("#recipe-title", Static).update(title)

    @on(RowList.Highlighted, "#recipe")
    def _line_chosen(self) -> None:
        from tui import recipes

        self.refresh_actions()
        line = self.query_one(RecipeList).current
        self.query_one("#reason", Static).update(recipes.reason(line.name) if line else "")

    @on(RowList.Chosen, "#images, #recipe")
    async def _line_opened(self) -> None:
        await self.action_act("train.edit")

    def do_edit(self) -> None:
        if self.query_one(RecipeList).has_focus:
            self._edit_recipe()
        else:
            self._edit_caption()

    def _edit_recipe(self) -> None:
        from tui import recipes
        from tui.widgets.dialogs import Ask

        line, draft = self.query_one(RecipeList).current, self._draft
        if line is None or draft is None:
            return

        def done(text: str | None) -> None:
            if text is not None:
                self._draft = recipes.assign(draft, line.name, text)
                self._show_recipe()
                self._check()

        hint = recipes.reason(line.name)
        check = lambda text: recipes.assign(draft, line.name, text)  # noqa: E731 - shorter than a name for it
        self.app.push_screen(Ask(line.title, line.value, hint=hint, check=check), done)

    def _edit_caption(self) -> None:
        from tui.widgets.dialogs import Ask

        line = self.query_one(ImageList).current
        if line is None or line.image is None:
            return
        image = line.image

        def done(text: str | None) -> None:
            if text is not None:
                self.change(lambda _: _write_caption(image.path, text), lambda _: self._read_again())

        self.app.push_screen(
            Ask(f"caption of {image.name}", image.caption or "", hint="What the picture shows, in one line."), done
        )

    def _read_again(self) -> None:
        if self._dataset is not None:
            self.open_dataset(self._dataset.folder)

    def do_caption(self) -> None:
        if self._dataset is not None:
            trigger = self._draft.recipe.trigger if self._draft else ""
            folder = str(self._dataset.folder)
            self.start_job("caption", f"caption {self._dataset.folder.name}", {"folder": folder, "trigger": trigger})

    def do_save(self) -> None:
        from tui.widgets.dialogs import Ask

        draft = self._draft
        if draft is None:
            return

        def done(text: str | None) -> None:
            if text:
                path = expand(text)
                self.change(lambda _: _save(path, draft), lambda _: self.say(f"saved {path}"))

        self.app.push_screen(Ask("save the recipe", f"~/{draft.recipe.output}.toml"), done)

    def do_load(self) -> None:
        from tui.widgets.dialogs import Ask

        def done(text: str | None) -> None:
            if text:
                self.in_thread(lambda registry: _load(registry, expand(text)), self._show_loaded, group="dataset")

        self.app.push_screen(Ask("load a recipe", "~/", hint="A .toml file; its dataset is opened with it."), done)

    def _show_loaded(self, found: tuple[Draft, Dataset]) -> None:
        self._draft, dataset = found
        self._show_dataset(dataset)

    # runs ---------------------------------------------------------------------------------------------------------

    def do_start(self) -> None:
        from tui.widgets.dialogs import Confirm

        errors = [each for each in self._findings if each.severity == "error"]
        if not errors:
            self._start(force=False)
            return
        text = "\n".join(f"{each.image or 'the set'}: {each.sentence}" for each in errors[:8])

        def done(yes: bool | None) -> None:
            if yes:
                self._start(force=True)

        self.app.push_screen(Confirm("Start although the checks found errors?", text), done)

    def _start(self, *, force: bool) -> None:
        draft = self._draft
        if draft is None:
            return

        def work(registry: Registry) -> Job:
            from tui import recipes

            return recipes.start(registry, draft.recipe, force=force)

        def started(job: Job) -> None:
            self.hub.poll_soon()
            self.show_job(job)

        self.change(work, started)

    def show_job(self, job: Job) -> None:
        """Turn to the runs, at this one."""
        self.set_class(True, "-runs")
        self.query_one(RunPane).choose(job.id)

    def do_runs(self) -> None:
        self.toggle_class("-runs")
        if self.has_class("-runs"):
            self.query_one(RunPane).choose("")
        else:
            self.query_one(ImageList).focus()

    @property
    def _trained(self) -> str | None:
        """The model that the shown run made."""
        return self.query_one(RunPane).model if self.has_class("-runs") else None

    async def do_test(self) -> None:
        from tui.screens.generate import GenerateScreen

        model = self._trained
        await self.app.switch_mode("generate")
        if model is not None and isinstance(self.app.screen, GenerateScreen):
            self.app.screen.take_models([model])

    def do_publish(self) -> None:
        from tui import publish_subject
        from tui.screens.publish import PublishScreen

        model = self._trained
        if model is not None:
            self.in_thread(
                lambda registry: publish_subject.newest(registry, [model]),
                lambda versions: self.app.push_screen(PublishScreen(versions)),
                group="subject",
            )

    def do_back(self) -> None:
        if self.has_class("-runs"):
            self.do_runs()
        else:
            self.query_one(ImageList).focus()

    def show_jobs(self, snapshot: Snapshot) -> None:
        self.query_one(RunPane).show_jobs(snapshot)
        done = frozenset(view.job.id for view in snapshot.views if view.job.kind == "caption" and view.job.ended)
        if done - self._captions_done:
            self._read_again()
        self._captions_done = done


def _read(registry: Registry, folder: Path) -> Dataset:
    from hubman.train.dataset import read_dataset

    return read_dataset(folder, registry.home / "dataset-cache.json")


def _write_caption(image: Path, text: str) -> None:
    from hubman.train.captions import write_caption

    write_caption(image, text)


def _save(path: Path, draft: Draft) -> None:
    from hubman.train.recipe import write_recipe

    write_recipe(path, draft.recipe)


def _load(registry: Registry, path: Path) -> tuple[Draft, Dataset]:
    from hubman.train.recipe import read_recipe
    from tui import recipes

    recipe = read_recipe(path)
    dataset = _read(registry, Path(recipe.dataset))
    return recipes.from_recipe(recipe, len(dataset.usable)), dataset
