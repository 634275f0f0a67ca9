"""Mode 4: write a prompt, stack LoRAs, draw, sweep, and keep what was found out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static, TextArea

from registry.errors import HubError
from tui import actions, generation
from tui.generation import SETTINGS, Settings, StackItem
from tui.screens.base import HubScreen
from tui.screens.generate_result import ResultPane
from tui.widgets.rows import RowList
from tui.widgets.stack import SettingsList, StackList

if TYPE_CHECKING:
    from hubman.generate.guards import Guard
    from hubman.jobs.records import Job
    from registry.database import Registry
    from tui.services.watch import Snapshot

STACK_EMPTY = """No LoRA on the stack.

a    add one
T    in Library brings one
<lora: in the prompt too"""


Chosen = tuple[str, str | None]
"""(model, the version of it that is meant; None for the newest)"""


class GenerateScreen(HubScreen):
    """Prompt, stack and settings at the left; the last grid and its curve at the right."""

    SCOPE = "generate"
    CSS_PATH = "generate.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("generate")]
    AUTO_FOCUS = "#stack"

    def __init__(self) -> None:
        super().__init__()
        self._stack: list[StackItem] = []
        self._settings = Settings()
        self._guards: tuple[Guard, ...] = ()
        self._words = ""

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="panes"):
            with Vertical(id="setup"):
                yield Static("Prompt", classes="title")
                yield TextArea(id="prompt", soft_wrap=True, tab_behavior="focus", placeholder="/ writes what to draw")
                yield Static("LoRAs", classes="title")
                yield StackList(id="stack")
                yield Static("", id="warnings", markup=False)
                yield Static("Settings", classes="title")
                yield SettingsList(id="settings")
            yield ResultPane(id="result")

    def on_mount(self) -> None:
        self.query_one(StackList).empty = STACK_EMPTY
        self._show_settings()
        self._show_stack()

    def lacks(self, need: str) -> str:
        if need == "lora" and not self._stack:
            return "put a LoRA on the stack first (a)"
        if need == "two" and len(self._stack) < 2:
            return "a grid needs two LoRAs on the stack (a adds one)"
        if need == "prompt" and not self._words:
            return "write a prompt first (/)"
        if need == "fix" and self._fixable is None:
            return "no warning offers a fix"
        if need == "cell":
            return self.query_one(ResultPane).lacks_cell()
        return ""

    # prompt and stack ---------------------------------------------------------------------------------------------

    def do_prompt(self) -> None:
        self.query_one(TextArea).focus()

    def take_prompt(self, text: str) -> None:
        """Write ``text`` in the place of the prompt; LoRAs that it names go on the stack if they are here."""
        self.query_one(TextArea).text = text

    @on(TextArea.Changed, "#prompt")
    def _prompt_changed(self, event: TextArea.Changed) -> None:
        self._words = event.text_area.text.strip()
        if event.text_area.text.endswith("<lora:"):
            event.text_area.text = event.text_area.text.removesuffix("<lora:")
            event.text_area.move_cursor(event.text_area.document.end)
            self.do_add()
        elif "<lora:" in self._words and ">" in self._words:
            self._take_tags()
        self._warn()

    def _take_tags(self) -> None:
        text = self.query_one(TextArea).text

        def show(found: tuple[str, list[StackItem], list[str]]) -> None:
            words, items, problems = found
            if items and self.query_one(TextArea).text == text:
                self.query_one(TextArea).text = words
                self._push(items)
            if problems:
                self.complain(problems[0])

        self.in_thread(lambda registry: generation.take_tags(registry, text), show, group="tags")

    def do_add(self) -> None:
        from tui.screens.pick import PickScreen

        def done(model: str | None) -> None:
            if model is not None:
                self.take_models([model])

        self.app.push_screen(PickScreen("put a LoRA on the stack"), done)

    def take_models(self, models: Sequence[str]) -> None:
        """Put models on the stack, each in its newest version at its recommended strength."""
        self.take_versions([(model, None) for model in models])

    def take_versions(self, chosen: Sequence[Chosen], *, to_sweep: bool = False) -> None:
        """As :meth:`take_models`, each in the version that is named.

        ``to_sweep`` prepares a sweep of the first one's strength: ``W`` then draws it.
        """

        def take(items: list[StackItem]) -> None:
            self._push(items)
            if to_sweep and items:
                self._prepare_sweep(items[0])

        self.in_thread(lambda registry: _items(registry, chosen), take, group="take")

    def _prepare_sweep(self, item: StackItem) -> None:
        strengths = generation.sweep_strengths(item)
        self._settings = replace(self._settings, strengths=strengths)
        self._show_settings()
        if not self._words and item.required_words:
            self.query_one(TextArea).text = ", ".join(item.required_words)
        at = next(number for number, one in enumerate(self._stack) if one.sha256 == item.sha256)
        self.query_one(StackList).cursor = at
        self.say(f"W sweeps {item.alias} over {strengths}")

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        parts = self.hub.combo.clear()
        if parts:
            chosen: list[Chosen] = [(part.model, part.version) for part in parts]
            self.in_thread(lambda registry: _items(registry, chosen), self._take_combo, group="combo")

    def _take_combo(self, items: list[StackItem]) -> None:
        self._stack = []
        self._push(items)

    def _push(self, items: Sequence[StackItem]) -> None:
        """The same LoRA twice is refused by every engine, so a second one replaces the first."""
        new = {item.sha256: item for item in items}
        self._stack = [new.pop(item.sha256, item) for item in self._stack] + list(new.values())
        self._show_stack()
        self.query_one(StackList).focus()

    def _show_stack(self) -> None:
        self.query_one(StackList).set_items(list(self._stack))
        self._warn()

    def _replace(self, change: Callable[[StackItem], StackItem]) -> None:
        at = self.query_one(StackList).cursor
        self._stack[at] = change(self._stack[at])
        self._show_stack()

    def do_remove(self) -> None:
        del self._stack[self.query_one(StackList).cursor]
        self._show_stack()

    def do_stronger(self) -> None:
        self._replace(lambda item: replace(item, strength=round(item.strength + 0.05, 4)))

    def do_weaker(self) -> None:
        self._replace(lambda item: replace(item, strength=round(item.strength - 0.05, 4)))

    @on(RowList.Chosen, "#stack")
    async def _stack_opened(self) -> None:
        await self.action_act("generate.strength")

    def do_strength(self) -> None:
        from tui.widgets.dialogs import Ask

        def done(text: str | None) -> None:
            if text:
                self._replace(lambda item: replace(item, strength=_number(text)))

        item = self._stack[self.query_one(StackList).cursor]
        hint = "Trigger words: " + (", ".join(item.trigger_words) or "none known")
        self.app.push_screen(Ask(f"strength of {item.alias}", f"{item.strength:g}", hint=hint, check=_number), done)

    # warnings -----------------------------------------------------------------------------------------------------

    def _warn(self) -> None:
        settings, words, stack = self._settings, self._words, tuple(self._stack)
        self.refresh_actions()

        def failed(reason: str) -> None:
            self._show_warnings((), reason)

        self.in_thread(
            lambda _: generation.warnings(settings, words, stack), self._show_warnings, group="warnings", failed=failed
        )

    def _show_warnings(self, found: tuple[Guard, ...], reason: str = "") -> None:
        self._guards = found
        rows = self.query_one(StackList)
        rows.warned = frozenset(
            item.alias for item in self._stack if any(item.alias in guard.message for guard in found)
        )
        rows.refresh()
        lines = [f"! {guard.message}{f' (F: {guard.fix})' if guard.fixed else ''}: {guard.reason}" for guard in found]
        lines += [f"! {item.alias} is not on this machine" for item in self._stack if not item.path]
        warnings = self.query_one("#warnings", Static)
        warnings.update("\n".join([reason] if reason else lines))
        warnings.display = bool(reason or lines)
        self.refresh_actions()

    @property
    def _fixable(self) -> Guard | None:
        return next((guard for guard in self._guards if guard.fixed is not None), None)

    def do_fix(self) -> None:
        guard = self._fixable
        if guard is None or guard.fixed is None:
            return
        strengths = {use.sha256: use.strength for use in guard.fixed.loras}
        self._stack = [
            replace(item, strength=strengths[item.sha256]) for item in self._stack if item.sha256 in strengths
        ]
        if guard.fixed.prompt != self._words:
            self.query_one(TextArea).text = guard.fixed.prompt
        self._show_stack()

    # settings -----------------------------------------------------------------------------------------------------

    def _show_settings(self) -> None:
        values = dict(zip(SETTINGS, _typed(self._settings), strict=True))
        self.query_one(SettingsList).set_items(list(values.items()))

    def do_settings(self) -> None:
        self.query_one(SettingsList).focus()

    @on(RowList.Chosen, "#settings")
    def _setting_opened(self) -> None:
        from tui.widgets.dialogs import Ask

        line = self.query_one(SettingsList).current
        if line is None:
            return
        name, value = line

        def done(text: str | None) -> None:
            if text is not None:
                self._settings = generation.assign(self._settings, name, text)
                self._show_settings()
                self._warn()

        check = lambda text: generation.assign(self._settings, name, text)  # noqa: E731 - shorter than a name for it
        self.app.push_screen(Ask(name, value, hint=SETTINGS[name], check=check), done)

    # drawing ------------------------------------------------------------------------------------------------------

    def do_draw(self) -> None:
        self._start(lambda: generation.draw_job(self._settings, self._words, self._stack))

    def do_sweep(self) -> None:
        at = self.query_one(StackList).cursor
        self._start(lambda: generation.sweep_job(self._settings, self._words, self._stack, at))

    def do_combine(self) -> None:
        self._start(lambda: generation.grid_job(self._settings, self._words, self._stack))

    def _start(self, plan: Callable[[], tuple[str, str, dict[str, Any]]]) -> None:
        try:
            kind, title, request = plan()
        except HubError as error:
            self.complain(str(error))
            return
        self.start_job(kind, title, request, self.show_job)

    def show_job(self, job: Job) -> None:
        """Show this job's grid from now on."""
        self.set_class(self.has_class("-narrow"), "-result")
        self.query_one(ResultPane).choose(job.id)

    def show_jobs(self, snapshot: Snapshot) -> None:
        self.query_one(ResultPane).show_jobs(snapshot)

    # what was found out -------------------------------------------------------------------------------------------

    def do_recommend(self) -> None:
        found = self.query_one(ResultPane).strength_of_cell()
        if found is None:
            self.complain("this cell is not of a strength sweep of one LoRA")
            return
        version, strength = found

        def work(registry: Registry) -> None:
            from registry import edits

            edits.say(registry, version, {"strength": strength})

        self.change(work, lambda _: self.say(f"{strength:g} is the recommended strength now"))

    def do_preview(self) -> None:
        found = self.query_one(ResultPane).picture_of_cell()
        if found is None:
            return
        version, path = found

        def work(registry: Registry) -> None:
            from registry import edits

            # What made it stands in the picture itself, where publishing reads it.
            edits.show_first(registry, version, path)

        self.change(work, lambda _: self.say("the picture is the preview now"))

    def do_back(self) -> None:
        self.remove_class("-result")
        self.query_one(StackList).focus()


def _items(registry: Registry, chosen: Sequence[Chosen]) -> list[StackItem]:
    return [generation.item_of(registry, model, version_id=version) for model, version in chosen]


def _typed(settings: Settings) -> tuple[str, ...]:
    return astuple(settings)


def _number(text: str) -> float:
    from registry.errors import UsageError

    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"strength can't be {text!r}", "give a number such as 0.8") from None
    if not -15 <= value <= 15:
        raise UsageError(f"strength can't be {value:g}", "it goes from -15 to 15")
    return value
