"""Which pictures a version's page shows, in which order; what each says of how it was made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tui import actions, formats
from tui.acting import Acting
from tui.widgets.action_bar import ActionBar
from tui.widgets.picture import Picture
from tui.widgets.publish_lists import ShownList
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from hubman.civitai.form import FormPicture, VersionPart
    from registry.database import Registry
    from tui.app import HubmanApp
    from tui.screens.base import HubScreen

_WIDTHS = [(0, "-narrow"), (100, "-wide")]


class PublishPicturesScreen(ModalScreen[tuple[str, ...] | None], Acting):
    """Answers the SHA-256 of the pictures to show, in order; None where nothing was changed.

    ``set_level`` writes the level of a picture into the library, which is what the library shows of it too.
    """

    SCOPE = "shown"
    CSS_PATH = "publish_pictures.tcss"
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("shown")]

    def __init__(self, part: VersionPart, set_level: Callable[[FormPicture, str], None]) -> None:
        super().__init__()
        self._part, self._set_level = part, set_level
        self._before = tuple(picture.sha256 for picture in part.pictures)
        self._chosen = list(self._before)
        rest = [picture for picture in part.offered if picture.sha256 not in self._before]
        self._pictures = [*part.pictures, *rest]
        self._levels = {picture.sha256: picture.nsfw_level for picture in self._pictures}

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = f"pictures of {formats.one_line(self._part.name)}"
            frame.border_subtitle = "esc saves"
            with Horizontal():
                rows = ShownList()
                rows.empty = "It has no picture of its own.\n\nV in Generate makes a cell one."
                yield rows
                with Vertical(id="side"):
                    yield Picture(id="picture")
                    yield Static("", id="made", markup=False)
            yield ActionBar("shown")

    def on_mount(self) -> None:
        self._show()
        self.query_one(ShownList).focus()

    @property
    def _rows(self) -> ShownList:
        return self.query_one(ShownList)

    @property
    def _current(self) -> FormPicture | None:
        row = self._rows.current
        return row[0] if row else None

    def lacks(self, need: str) -> str:
        if self._current is None:
            return "there is no picture"
        if need == "shown" and self._current.sha256 not in self._chosen:
            return "this picture is left out; space chooses it"
        return ""

    def _show(self, to: str = "") -> None:
        from registry import levels

        self._pictures.sort(
            key=lambda one: self._chosen.index(one.sha256) if one.sha256 in self._chosen else len(self._chosen)
        )
        items = [
            (
                one,
                self._chosen.index(one.sha256) + 1 if one.sha256 in self._chosen else 0,
                levels.name_of(self._levels[one.sha256]),
            )
            for one in self._pictures
        ]
        names = [one.sha256 for one in self._pictures]
        self._rows.set_items(items, cursor=names.index(to) if to in names else None)
        self.query_one(ActionBar).refresh()

    @on(RowList.Highlighted)
    def _follow(self) -> None:
        from pathlib import Path

        from registry import levels
        from tui.looks import looks_of

        self.query_one(ActionBar).refresh()
        one, picture = self._current, self.query_one(Picture)
        if one is None:
            picture.path = None
            self.query_one("#made", Static).update("")
            return
        looks = looks_of(self)
        covered = levels.is_covered(self._levels[one.sha256], looks.threshold)
        picture.words = (levels.name_of(self._levels[one.sha256]), "covered") if covered else ()
        picture.path = Path(one.path) if one.path and looks.has_pictures and not covered else None
        self.query_one("#made", Static).update(_made(one))

    # actions ------------------------------------------------------------------------------------------------------

    def do_choose(self) -> None:
        one = self._current
        if one is None:
            return
        at = self._rows.cursor
        if one.sha256 in self._chosen:
            self._chosen.remove(one.sha256)
        else:
            self._chosen.append(one.sha256)
        self._show()
        self._rows.cursor = at

    @on(RowList.Chosen)
    def _toggled(self) -> None:
        self.do_choose()

    def do_earlier(self) -> None:
        self._move(-1)

    def do_later(self) -> None:
        self._move(1)

    def _move(self, by: int) -> None:
        one = self._current
        if one is None:
            return
        at = self._chosen.index(one.sha256)
        self._chosen.remove(one.sha256)
        self._chosen.insert(max(0, min(at + by, len(self._chosen))), one.sha256)
        self._show(one.sha256)

    def do_level(self) -> None:
        from registry import levels
        from tui.widgets.dialogs import Choose

        one = self._current
        if one is None:
            return

        def chosen(name: str | None) -> None:
            if name:
                self._levels[one.sha256] = levels.parse(name)
                self._set_level(one, name)
                self._show(one.sha256)

        options = [(name, levels.name_of(levels.parse(name)), "") for name in levels.RATED]
        self.app.push_screen(Choose("the picture's level", options), chosen)

    def do_save(self) -> None:
        self.dismiss(tuple(self._chosen) if tuple(self._chosen) != self._before else None)

    def why_not(self, action_id: str) -> str:
        if cast("HubmanApp", self.app).looks.refuses(action_id):
            return "privacy mode hides what this shows; X ends it"
        return Acting.why_not(self, action_id)


def open_pictures(
    screen: HubScreen,
    part: VersionPart,
    done: Callable[[tuple[str, ...]], None],
    levelled: Callable[[str, int], None],
) -> None:
    """Ask over ``screen``; ``done`` is called with what was chosen, if it is another than before.

    ``levelled`` hears of each picture (SHA-256) that was given another level (a bit), which the library keeps.
    """

    def set_level(picture: FormPicture, name: str) -> None:
        from registry import levels

        level = levels.parse(name)

        def write(registry: Registry) -> None:
            from registry import edits

            edits.set_picture_level(registry, part.version_id, picture.sha256, level)

        screen.change(write, lambda _: levelled(picture.sha256, level))

    def answered(chosen: tuple[str, ...] | None) -> None:
        if chosen is not None:
            done(chosen)

    screen.app.push_screen(PublishPicturesScreen(part, set_level), answered)


def _made(picture: FormPicture) -> str:
    """What the page will tell of how it was made, a line each."""
    told = picture.generation
    if not told.get("prompt"):
        return "It does not say how it was made: Civitai shows it without a link to the model."
    names = ("prompt", "negative", "negativePrompt", "sampler", "steps", "cfg", "cfgScale", "seed")
    lines = [f"{name}: {formats.one_line(str(told[name]))}" for name in names if told.get(name) not in (None, "")]
    loras = [one for one in told.get("loras") or () if isinstance(one, dict)]
    lines += [f"lora: {formats.one_line(str(one.get('name', '')))} {one.get('strength', '')}".rstrip() for one in loras]
    return "\n".join(lines)
