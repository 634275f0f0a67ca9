"""Move and rename files by a template: the table of what would go where stands before anything is moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input, Static

from tui import actions, formats
from tui.screens.base import HubScreen
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.organise import Line

DEFAULT = "{base}/{creator}/{model}"


class Plan(NamedTuple):
    """What would go where; ``files`` are all that move, sidecars and previews among them."""

    lines: list[Line]
    sound: list[Line]
    files: int


class PlanList(RowList["Line"]):
    """From, to, and what is in the way, folders as far as they differ."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("From", 20, grow=True),
        Column("To", 20, grow=True),
        Column("Conflict", 26, drop=1),
    )

    def cells(self, item: Line) -> Sequence[Cell]:
        source, target = shortened(item.source, item.target)
        return (
            ("✘", "bad") if item.conflict else ("→", "good"),
            (formats.one_line(source), "muted"),
            (formats.one_line(target), "muted" if item.conflict else ""),
            (formats.one_line(item.conflict), "bad"),
        )


class OrganiseScreen(HubScreen):
    """Over the library; nothing is moved until ``m`` is agreed to, and ``z`` takes it back."""

    SCOPE = "organise"
    MODE = "library"
    CSS_PATH = "organise.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("organise")]
    AUTO_FOCUS = "#plan"

    def __init__(self, models: Sequence[str], go: Callable[[Sequence[Line]], object]) -> None:
        """``go`` is handed the lines that were agreed to; moving them may outlast this screen."""
        super().__init__()
        self._go = go
        self._models = list(models)
        self._into: Path | None = None
        self._plan: Plan | None = None
        self._fields = ""

    def body(self) -> Iterable[Widget]:
        yield Static(f"Move files of {formats.count(len(self._models), 'model')}", id="heading", classes="title")
        with Horizontal(id="template-row"):
            yield Static("to", id="to")
            yield Input(DEFAULT, select_on_focus=False, id="template")
        yield Static("", id="into", classes="line", markup=False)
        yield Static("", id="problem", markup=False)
        yield PlanList(id="plan")
        yield Static("", id="why", markup=False)
        yield Static("", id="sum", classes="line")

    def on_mount(self) -> None:
        from registry.path_template import FIELDS

        self._fields = " ".join(f"{{{name}}}" for name in FIELDS)
        self._show_into()
        self._look()

    def lacks(self, need: str) -> str:
        if need == "plan" and not self._sound:
            return "the plan is not there yet" if self._plan is None else "nothing in this plan can be moved"
        return ""

    @property
    def _sound(self) -> Sequence[Line]:
        return self._plan.sound if self._plan else ()

    def _show_into(self) -> None:
        where = str(self._into) if self._into else "each file's own folder"
        self.query_one("#into", Static).update(f"below {where}; a / at the end keeps names. {self._fields}")

    # the plan -----------------------------------------------------------------------------------------------------

    @on(Input.Changed, "#template")
    def _look(self) -> None:
        template, models, into = self.query_one("#template", Input).value, self._models, self._into
        self._plan = None
        self.query_one("#sum", Static).update("looking …")
        self.refresh_actions()
        self.in_thread(
            lambda registry: _plan(registry, template, models, into), self._show, group="plan", failed=self._refuse
        )

    def _show(self, plan: Plan) -> None:
        self._plan = plan
        self._refuse("")
        rows = self.query_one(PlanList)
        rows.empty = "Nothing to move: no file of these lies here, or every one lies where the template puts it."
        rows.set_items(plan.lines, cursor=0)
        stays = len(plan.lines) - len(plan.sound)
        said = f"{formats.count(len(plan.sound), 'model file')} would move, {formats.count(plan.files, 'file')} in all"
        self.query_one("#sum", Static).update(said + (f"; {stays:,} stay: something is in the way" if stays else ""))
        self.refresh_actions()

    def _refuse(self, reason: str) -> None:
        problem = self.query_one("#problem", Static)
        problem.update(reason)
        problem.display = bool(reason)
        if reason:
            self.query_one("#sum", Static).update("")

    @on(RowList.Highlighted, "#plan")
    def _follow_cursor(self) -> None:
        """The whole conflict of the line under the cursor, which its column cuts."""
        line = self.query_one(PlanList).current
        why = self.query_one("#why", Static)
        why.update(formats.one_line(line.conflict) if line is not None else "")
        why.display = line is not None and bool(line.conflict)

    @on(Input.Submitted, "#template")
    def _written(self) -> None:
        self.query_one(PlanList).focus()

    def do_template(self) -> None:
        self.query_one("#template", Input).focus()

    def do_folder(self) -> None:
        self.in_thread(_roots, self._choose_folder, group="roots")

    def _choose_folder(self, roots: list[str]) -> None:
        from tui.widgets.dialogs import Choose

        def chosen(root: str | None) -> None:
            if root is not None:
                self._into = Path(root) if root else None
                self._show_into()
                self._look()

        options = [("", "each file's own folder", ""), *((root, root, "") for root in roots)]
        self.app.push_screen(Choose("Move below", options, at=str(self._into or "")), chosen)

    # carrying it out ----------------------------------------------------------------------------------------------

    def do_go(self) -> None:
        from tui.widgets.dialogs import Confirm

        sound = self._sound
        paths = [" → ".join(shortened(line.source, line.target)) for line in sound[:8]]
        first = "\n".join(map(formats.one_line, paths))
        more = f"\n… and {len(sound) - 8:,} more" if len(sound) > 8 else ""
        title = f"Move {formats.count(len(sound), 'model file')}"

        def agreed(yes: bool | None) -> None:
            if yes:
                self._go(sound)
                self.dismiss(None)

        self.app.push_screen(Confirm(title, first + more), agreed)

    def do_back(self) -> None:
        if self.query_one("#template", Input).has_focus:
            self.query_one(PlanList).focus()
        else:
            self.dismiss(None)


def shortened(source: str, target: str) -> tuple[str, str]:
    """Both paths without the folders that they share."""
    one, other = Path(source).parts, Path(target).parts
    shared = 0
    while shared < min(len(one), len(other)) - 1 and one[shared] == other[shared]:
        shared += 1
    return str(Path(*one[shared:])), str(Path(*other[shared:]))


def _plan(registry: Registry, template: str, models: Sequence[str], into: Path | None) -> Plan:
    from registry import organise

    lines = organise.plan(registry, template, models, into=into)
    sound = [line for line in lines if not line.conflict]
    # What is in the way comes first: the rest needs no look.
    return Plan([line for line in lines if line.conflict] + sound, sound, sum(len(line.moves) for line in sound))


def _roots(registry: Registry) -> list[str]:
    from registry import roots

    return [str(root) for root in [*roots.all_roots(registry), roots.absolute(registry.models_folder)] if root.is_dir()]
