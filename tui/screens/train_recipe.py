"""The right of mode 3: the recipe as a property list, with reasons, ranges and clashes where a value is edited."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on

from registry.errors import HubError
from tui.folders import expand
from tui.screens.train_images import TrainImages
from tui.widgets.recipe_list import RecipeLine, RecipeList
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from hubman.train.capacity.forecast import Forecast
    from hubman.train.recipe import Recipe
    from registry.database import Registry
    from tui.recipes import Draft


class TrainRecipe(TrainImages):
    """Enter edits, space turns over or takes the next choice, backspace goes back to the preset's value."""

    _only_changed = False

    @property
    def field(self) -> str:
        """The field under the cursor; empty on a heading."""
        line = self.query_one(RecipeList).current
        return line.path if line else ""

    # showing ------------------------------------------------------------------------------------------------------

    def show_recipe(self) -> None:
        from tui import recipes

        draft = self.draft
        if draft is None:
            return
        rows, at = self.query_one(RecipeList), self.field
        problems = recipes.clashes(draft.recipe)
        clashing = {path for clash in problems for path in clash.fields}
        lines: list[RecipeLine] = []
        for group, paths in recipes.groups().items():
            fields = [
                RecipeLine(
                    recipes.title(path),
                    path,
                    recipes.text_of(draft, path),
                    edited=recipes.is_changed(draft, path),
                    clashes=path in clashing,
                )
                for path in paths
            ]
            kept = [line for line in fields if line.edited or not self._only_changed]
            lines += [RecipeLine(group.title()), *kept] if kept else []
        rows.empty = "Nothing differs from the preset.\n\nf  shows all values"
        rows.set_items(lines)
        place = rows.find(at) if at else 1
        rows.cursor = rows.cursor if place is None else place
        changed = sum(recipes.is_changed(draft, path) for path in draft.edited)
        recipe = draft.recipe
        title = f"Recipe · {recipe.kind} on {recipe.family}" + (f" · {changed} yours" if changed else "")
        self.put("#recipe-title", title)
        length = f"{recipe.length.steps:,} steps in {recipe.length.epochs} epochs, rank {recipe.network.rank}"
        self.put("#recipe-line", length)
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        self.put("#clash", f"{problems[0]}{more}" if problems else "", grows=True)
        self._tell_reason()
        self.refresh_actions()

    @on(RowList.Highlighted, "#recipe")
    def _tell_reason(self) -> None:
        from tui import recipes

        self.refresh_actions()
        path, draft = self.field, self.draft
        text = ""
        if path and draft is not None:
            text = "\n".join(part for part in (recipes.reason(path), recipes.takes(draft, path)) if part)
        self.put("#reason", text)

    def only_changed(self) -> None:
        """Show only what differs from the preset, or all."""
        self._only_changed = not self._only_changed
        self.show_recipe()

    # editing ------------------------------------------------------------------------------------------------------

    def take_draft(self, draft: Draft, what: str = "") -> None:
        """Go on with another draft; what it names can be undone."""
        before = self.draft
        if what and before is not None:
            self.remember(what, lambda: self.take_draft(before))
        self.draft = draft
        self.base, self.kind = draft.base, draft.recipe.kind
        self.forecast = ""
        self.show_recipe()
        self._tell_forecast()
        if before is not None and _masks(before.recipe) != _masks(draft.recipe):
            self.read_again()
        else:
            self.check()

    def assign(self, path: str, text: str) -> None:
        """Change one field. A base is read in a thread: its header tells the family."""
        from tui import recipes

        draft = self.draft
        if draft is None:
            return
        if path in {"base", "kind"}:
            self.in_thread(
                lambda _: recipes.assign(draft, path, text), lambda made: self.take_draft(made, path), group="preset"
            )
            return
        try:
            self.take_draft(recipes.assign(draft, path, text), recipes.title(path))
        except HubError as error:
            self.complain(str(error))

    def edit_value(self) -> None:
        from tui import recipes

        path, draft = self.field, self.draft
        if not path or draft is None:
            return
        if path == "base":
            self.do_base()
        elif path == "kind":
            self.do_kind()
        elif recipes.is_flag(path):
            self.turn_value()
        elif recipes.choices(path):
            self._choose_value(path, draft)
        else:
            self._type_value(path, draft)

    def _choose_value(self, path: str, draft: Draft) -> None:
        from tui import recipes
        from tui.widgets.dialogs import Choose

        preset = recipes.preset_text(draft, path)
        options = [(one, one, "the preset's" if one == preset else "") for one in recipes.choices(path)]
        self.app.push_screen(
            Choose(recipes.title(path), options, at=recipes.text_of(draft, path)),
            lambda text: self.assign(path, text) if text is not None else None,
        )

    def _type_value(self, path: str, draft: Draft) -> None:
        from tui import recipes
        from tui.widgets.dialogs import Ask

        hint = "\n".join(part for part in (recipes.reason(path), recipes.takes(draft, path)) if part)

        def done(text: str | None) -> None:
            if text is not None:
                self.assign(path, text)

        ask = Ask(
            recipes.title(path), recipes.text_of(draft, path), hint=hint,
            check=lambda text: recipes.assign(draft, path, text), remark=_remarks(draft, path),
        )  # fmt: skip
        self.app.push_screen(ask, done)

    def turn_value(self) -> None:
        """Turn a yes or no over; of a list of choices take the next one."""
        from tui import recipes

        path, draft = self.field, self.draft
        if not path or draft is None:
            return
        if recipes.is_flag(path):
            self.assign(path, "no" if recipes.text_of(draft, path) == "yes" else "yes")
        elif choices := recipes.choices(path):
            at = choices.index(recipes.text_of(draft, path))
            self.assign(path, choices[(at + 1) % len(choices)])
        else:
            self.edit_value()

    def do_reset(self) -> None:
        from tui import recipes

        path, draft = self.field, self.draft
        if path and draft is not None:
            try:
                self.take_draft(recipes.reset(draft, path), f"{recipes.title(path)} of the preset")
            except HubError as error:
                self.complain(str(error))

    def do_forecast(self) -> None:
        """Ask a process of its own: torch would stall the screen."""
        draft = self.draft
        if draft is None:
            return

        def work(_: Registry) -> Forecast:
            from hubman.train.capacity.ask_forecast import ask_forecast

            return ask_forecast(draft.recipe)

        def done(found: Forecast) -> None:
            if self.draft is draft:
                self.forecast = found.sentence() if found.fits else f"it will not fit: {found.sentence()}"
                self._tell_forecast()

        def failed(reason: str) -> None:
            self.complain(reason)
            self.forecast = ""
            self._tell_forecast()

        self.forecast = "measuring this machine and the base …"
        self._tell_forecast()
        self.in_thread(work, done, group="forecast", failed=failed)

    def _tell_forecast(self) -> None:
        self.put("#forecast", self.forecast, grows=True)
        self.show_choices()

    def do_find(self) -> None:
        """Go to a field by a part of its name."""
        from tui import recipes
        from tui.widgets.picking import PickOne

        paths = [path for paths in recipes.groups().values() for path in paths]

        def done(path: str | None) -> None:
            if path is not None:
                self._only_changed = False
                self.show_recipe()
                rows = self.query_one(RecipeList)
                rows.cursor = rows.find(path) or 0
                rows.focus()

        self.app.push_screen(PickOne("a value of the recipe", paths, at=self.field, hint="A part of its name"), done)

    # files --------------------------------------------------------------------------------------------------------

    def do_save(self) -> None:
        from tui.widgets.dialogs import Ask

        draft = self.draft
        if draft is None:
            return

        def done(text: str | None) -> None:
            if text:
                path = expand(text)
                self.change(lambda _: _save(path, draft), lambda _: self.say(f"saved {path}"))

        self.app.push_screen(Ask("save the recipe", f"~/{draft.recipe.output}.toml"), done)

    def do_load(self) -> None:
        from tui.screens.pick_path import PickPath

        def done(text: str | None) -> None:
            if text:
                self.in_thread(lambda _: _load(expand(text)), self.take_recipe, group="recipe")

        hint = "A recipe (.toml); its data set is opened with it."
        self.app.push_screen(PickPath("load a recipe", "~/", hint=hint, suffixes=(".toml",)), done)

    def take_recipe(self, recipe: Recipe) -> None:
        """Open a recipe with its data set, to train it again with changes."""
        self.open_dataset(Path(recipe.dataset), recipe)
        self.set_class(False, "-start")


def _masks(recipe: Recipe) -> tuple[str, str]:
    """Where masks are read from: the images are read anew with those of another place."""
    return recipe.images.masks, recipe.images.mask_folder


def _remarks(draft: Draft, path: str) -> Callable[[str], str]:
    """What to say of a value while it is typed: that it clashes with another one."""
    from tui import recipes

    def remark(text: str) -> str:
        try:
            recipe = recipes.assign(draft, path, text).recipe
        except HubError:
            return ""
        return "\n".join(str(clash) for clash in recipes.clashes(recipe) if path in clash.fields)

    return remark


def _save(path: Path, draft: Draft) -> None:
    from hubman.train.recipe import write_recipe

    write_recipe(path, draft.recipe)


def _load(path: Path) -> Recipe:
    from hubman.train.recipe import read_recipe

    return read_recipe(path)
