"""What is done with a picture of the grid: kept, compared, made the preview, published, exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import HubError
from tui.generation import Setup
from tui.screens.generate_draw import GenerateDraw

if TYPE_CHECKING:
    from hubman.generate.request import DrawRequest, LoraUse
    from registry.database import Registry

_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


class GenerateCell(GenerateDraw):
    """The cell under the cursor and the one that is pinned."""

    def with_cell(self, use: Callable[[Registry, DrawRequest, Path], Callable[[], None]]) -> None:
        """Find out in a thread what the cell shows, and do something with it there; what is returned is done here."""
        found = self.result.cell
        if found is None:
            return
        filled, place, path = found

        def work(registry: Registry) -> Callable[[], None]:
            from tui import grids

            request = grids.request_of(filled, place)
            if request is None:
                raise HubError(f"{path.name} does not tell how it was drawn", "draw it again")
            return use(registry, request, path)

        self.change(work, lambda done: done())

    # comparing ----------------------------------------------------------------------------------------------------

    def do_pin(self) -> None:
        self.result.pin()
        self.refresh_actions()

    def do_flip(self) -> None:
        from tui.screens.look import FlipScreen

        pair = self.result.pair
        if pair is not None:
            self.app.push_screen(FlipScreen(*pair))

    def do_next_page(self) -> None:
        self.result.turn(1)

    def do_last_page(self) -> None:
        self.result.turn(-1)

    # keeping ------------------------------------------------------------------------------------------------------

    def do_take(self) -> None:
        """Set up what the cell shows."""
        before = self.setup

        def use(registry: Registry, request: DrawRequest, _: Path) -> Callable[[], None]:
            from tui import saved_setups

            setup, problems = saved_setups.of_request(registry, request, before)
            return lambda: self._loaded(setup, problems)

        self.with_cell(use)

    def do_recommend(self) -> None:
        """Make the strength of the cell's LoRA the recommended one of its version."""
        which = self.result.swept
        preferred = self.item.sha256.lower() if self.item is not None else ""

        def use(registry: Registry, request: DrawRequest, _: Path) -> Callable[[], None]:
            from registry import edits, library

            chosen = _lora_of(request, which, preferred)
            version = library.resolve(registry, chosen.sha256)[1]
            edits.say(registry, version, {"strength": chosen.strength})
            return lambda: self.say(f"{chosen.strength:g} is the recommended strength of {chosen.name} now")

        self.with_cell(use)

    def do_preview(self) -> None:
        which = self.result.swept
        preferred = self.item.sha256.lower() if self.item is not None else ""

        def use(registry: Registry, request: DrawRequest, path: Path) -> Callable[[], None]:
            from registry import edits, library

            chosen = _lora_of(request, which, preferred)
            # What made it stands in the picture itself, where publishing reads it.
            edits.show_first(registry, library.resolve(registry, chosen.sha256)[1], path)
            return lambda: self.say(f"the picture is the preview of {chosen.name} now")

        self.with_cell(use)

    def do_publish(self) -> None:
        """Show the pinned picture and this one first, and open the form of the LoRA's page."""
        which, shown = self.result.swept, [path for path in (self.result.pinned,) if path is not None]
        preferred = self.item.sha256.lower() if self.item is not None else ""

        def use(registry: Registry, request: DrawRequest, path: Path) -> Callable[[], None]:
            from registry import edits, library

            chosen = _lora_of(request, which, preferred)
            _, version = library.resolve(registry, chosen.sha256)
            for each in dict.fromkeys([path, *shown]):
                edits.show_first(registry, version, each)
            return lambda: self._open_form(version, chosen.name)

        self.with_cell(use)

    def _open_form(self, version: str, name: str) -> None:
        from tui.screens.publish import PublishScreen

        self.app.push_screen(PublishScreen([version], name))

    def do_save(self) -> None:
        """Save the cell, where the cursor is in the grid, else what is set up."""
        from hubman.generate import saved
        from tui.widgets.dialogs import Ask

        of_cell = self.result.in_grid and self.result.cell is not None

        def done(name: str | None) -> None:
            if name:
                self._save(name, of_cell=of_cell)

        title = "save the cell as a recipe" if of_cell else "save what is set up as a recipe"
        check = lambda text: saved.file_of(self.registry.home, text)  # noqa: E731 - shorter than a name for it
        self.app.push_screen(Ask(title, self.setup.words[:40], hint="L loads it again", check=check), done)

    def _save(self, name: str, *, of_cell: bool) -> None:
        setup = self.setup

        def keep(registry: Registry, request: DrawRequest | None) -> Callable[[], None]:
            from tui import saved_setups

            kept = saved_setups.keep(registry.home, name, setup, request)
            return lambda: self.say(f"saved {kept.stem}; L loads it")

        if of_cell:
            self.with_cell(lambda registry, request, _: keep(registry, request))
        else:
            self.change(lambda registry: keep(registry, None), lambda done: done())

    def do_load(self) -> None:
        """Choose a recipe, or a picture whose settings are taken."""
        from hubman.generate import saved
        from tui import formats
        from tui.screens.pick_path import PickPath

        home = self.registry.home
        known = [(str(path), path.stem, "recipe") for path in saved.names(home)]
        hint = f"{formats.count(len(known), 'recipe')}; or the path of a picture with its settings"

        def done(text: str | None) -> None:
            if text:
                self.load(Path(text).expanduser())

        self.app.push_screen(PickPath("load", "", known, hint=hint, suffixes=(*_PICTURES, saved.SUFFIX)), done)

    def load(self, path: Path) -> None:
        """Set up what a recipe or a picture tells."""
        before = self.setup

        def work(registry: Registry) -> tuple[Setup, list[str]]:
            from tui import saved_setups

            return saved_setups.load(registry, path, before)

        self.in_thread(work, lambda found: self._loaded(*found), group="load")

    def _loaded(self, setup: Setup, problems: list[str]) -> None:
        self.become(setup)
        self.remove_class("-result")
        self.stack.focus()
        if problems:
            self.complain(problems[0])

    # exporting ----------------------------------------------------------------------------------------------------

    def do_export(self) -> None:
        from tui import exporting
        from tui.screens.pick_path import PickPath
        from tui.widgets.dialogs import Choose

        job = self.result.job
        if job is None:
            return

        def chosen(form: str | None) -> None:
            if form is None:
                return

            def done(text: str | None) -> None:
                if text:
                    self._export(job.id, form, Path(text).expanduser())

            start = str(Path.home() / f"{job.id[-8:]}{exporting.SUFFIXES[form]}")
            self.app.push_screen(PickPath("export to", start, hint=exporting.FORMS[form]), done)

        options = [(form, form, remark) for form, remark in exporting.FORMS.items()]
        self.app.push_screen(Choose("export the grid", options), chosen)

    def _export(self, job_id: str, form: str, path: Path) -> None:
        def work(registry: Registry) -> str:
            from tui import exporting

            return exporting.export(registry.home / "generations" / job_id, form, path)

        self.change(work, self.say)


def _lora_of(request: DrawRequest, swept: str, preferred: str) -> LoraUse:
    """The LoRA that is meant: the one whose strength varies, the one under the stack's cursor, else the strongest."""
    if not request.loras:
        raise HubError("no LoRA made this picture", "choose another cell")
    named = [use for use in request.loras if swept and use.name == swept]
    under = [use for use in request.loras if use.sha256.lower() == preferred]
    return next(iter(named + under), max(request.loras, key=lambda use: abs(use.strength)))
