"""Mode 4: write a prompt, stack LoRAs, draw, sweep, and keep what was found out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from tui import actions
from tui.actions import Action
from tui.screens.generate_cell import GenerateCell
from tui.screens.generate_prompt import Remarks
from tui.screens.generate_result import ResultPane
from tui.widgets.prompt_editor import PromptEditor
from tui.widgets.stack import AxisList, CompletionList, SettingsList, StackList

STACK_EMPTY = """No LoRA on the stack.

a    add one
T    in Library brings one
<lora: in the prompt too"""


OF_SETUP = frozenset(("prompt", "add", "draw", "sweep", "grid", "axis", "fix", "pictures", "save", "load", "undo"))
OF_PICTURES = frozenset(
    ("preview", "recommend", "save", "publish", "pin", "flip", "take", "export", "results", "pictures")
)
"""Names of the actions that the footer shows."""


class GenerateScreen(GenerateCell):
    """Prompt, stack and settings at the left; the last grid and its curve at the right."""

    SCOPE = "generate"
    CSS_PATH = "generate.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("generate")]
    AUTO_FOCUS = "#stack"

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="panes"):
            with Vertical(id="setup"):
                yield Static("Prompt", classes="title")
                yield PromptEditor(id="prompt", placeholder="/ writes what to draw")
                yield CompletionList(id="completions")
                yield Static("LoRAs", classes="title")
                yield StackList(id="stack")
                yield Static("", id="meter", markup=False)
                yield Remarks(id="warnings")
                yield Static("Settings", id="settings-title", classes="title", markup=False)
                yield SettingsList(id="settings")
                yield Static("Grid", id="axes-title", classes="title", markup=False)
                yield AxisList(id="axes")
            yield ResultPane(id="result")

    def on_mount(self) -> None:
        self.stack.empty = STACK_EMPTY
        self.completions.display = False
        self.completions.can_focus = False
        self.show_setup()
        self.look_over()

    @property
    def result(self) -> ResultPane:
        return self.query_one(ResultPane)

    def show_setup(self) -> None:
        self.show_words(self.setup)
        self.show_lists(self.setup)
        self.query_one("#axes-title").display = bool(self.setup.axes)
        self.query_one("#settings-title", Static).update(f"Settings  {self._summary()}")
        self.refresh_actions()

    def _summary(self) -> str:
        """What matters of the settings, for where their list is hidden."""
        settings = self.setup.settings
        told = [f"{settings.steps} steps", settings.sampler, f"cfg {settings.cfg}" if settings.cfg else ""]
        told += [settings.size, f"seed {settings.seeds}", "img2img" if settings.init else ""]
        told += ["hires" if settings.hires else "", settings.mode if settings.mode != "bank" else ""]
        return " · ".join(part for part in told if part)

    # what can be done ---------------------------------------------------------------------------------------------

    def lacks(self, need: str) -> str:
        setup, result = self.setup, self.result
        item = self.stack.current
        in_axes = bool(setup.axes) and self.query_one(AxisList).has_focus
        job = result.job
        lacking = {
            "lora": not setup.stack and "put a LoRA on the stack first (a)",
            "line": not (setup.stack or in_axes) and "put a LoRA on the stack first (a)",
            "two": len(setup.stack) < 2 and "a grid needs two LoRAs on the stack (a adds one)",
            "prompt": not setup.words and "write a prompt first (/)",
            "savable": not (setup.words or (result.in_grid and result.cell)) and "write a prompt first (/)",
            "axes": not setup.axes and "add an axis first (x)",
            "words": not (item and item.trigger_words) and "the LoRA has no trigger word",
            "fix": not self.fixable and "no remark offers a fix",
            "remarks": not self.remarks and "there is nothing to remark",
            "undo": not self._before and "there is nothing to undo",
            "cell": result.cell is None and "there is no finished picture under the cursor",
            "pinned": result.pair is None and "pin a cell (m), then go to another one",
            "pages": not result.has_pages and "the grid has one page",
            "drawn": job is None and "nothing was drawn yet",
            "drawing": (job is None or job.ended) and "nothing is being drawn",
        }
        return lacking[need] or ""

    def in_footer(self, action: Action) -> bool:
        """In the grid what is done with a picture, elsewhere what is done before there is one."""
        return action.name in (OF_PICTURES if self.result.in_grid else OF_SETUP)

    def label_of(self, action: Action) -> str:
        if action.id == "generate.save" and self.result.in_grid:
            return "save cell"
        if action.id == "generate.pictures" and self.result.in_grid:
            return "back"
        return action.label

    def on_descendant_focus(self) -> None:
        self.set_class(self.result.in_grid, "-looking")
        if not self.query_one(SettingsList).has_focus:
            self.remove_class("-settings")
        self.refresh_actions()

    def do_pictures(self) -> None:
        if self.result.in_grid:
            self.do_back()
            return
        self.set_class(self.has_class("-narrow"), "-result")
        self.result.grid.focus()

    def do_back(self) -> None:
        self.remove_class("-result", "-settings")
        self.stack.focus()
