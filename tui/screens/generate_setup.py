"""The stack, the settings and the axes of the Generate screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from textual import on

from tui import generate_settings, generation
from tui.generation import Setup, StackItem
from tui.screens.generate_base import GenerateBase
from tui.widgets.rows import RowList
from tui.widgets.stack import AxisList, SettingsList, StackList

if TYPE_CHECKING:
    from hubman.generate.grids.spec import AxisSpec
    from registry.database import Registry

Chosen = tuple[str, str | None]
"""(model, the version of it that is meant; None for the newest)"""


class GenerateSetup(GenerateBase):
    """What is drawn, but for its words."""

    @property
    def stack(self) -> StackList:
        return self.query_one(StackList)

    @property
    def item(self) -> StackItem | None:
        """The LoRA under the cursor."""
        return self.stack.current

    # onto the stack -----------------------------------------------------------------------------------------------

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
            self.push_items(items)
            if to_sweep and items:
                self._prepare_sweep(items[0])

        self.in_thread(lambda registry: _items(registry, chosen), take, group="take")

    def push_items(self, items: Sequence[StackItem], *, words: str | None = None) -> None:
        """Put LoRAs on the stack, and write the prompt anew if ``words`` are given."""
        setup = self.setup.pushed(*items)
        self.become(setup if words is None else replace(setup, words=words))
        if words is None:
            self.stack.focus()

    def _prepare_sweep(self, item: StackItem) -> None:
        strengths = generation.sweep_strengths(item)
        words = self.setup.words or ", ".join(item.required_words)
        settings = replace(self.setup.settings, strengths=strengths)
        self.become(replace(self.setup, words=words, settings=settings))
        self.stack.cursor = next(n for n, one in enumerate(self.setup.stack) if one.sha256 == item.sha256)
        self.say(f"W sweeps {item.alias} over {strengths}")

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        parts = self.hub.combo.clear()
        if parts:
            chosen: list[Chosen] = [(part.model, part.version) for part in parts]
            self.in_thread(lambda registry: _items(registry, chosen), self._take_combo, group="combo")

    def _take_combo(self, items: list[StackItem]) -> None:
        self.become(replace(self.setup, stack=tuple(items)))
        self.stack.focus()

    # its strengths ------------------------------------------------------------------------------------------------

    def change_item(self, change: Callable[[StackItem], StackItem]) -> None:
        """Change the LoRA under the cursor."""
        at = self.stack.cursor
        if at < len(self.setup.stack):
            self.become(self.setup.with_item(at, change(self.setup.stack[at])))

    def do_remove(self) -> None:
        """Take away what is under the cursor of the list that has the focus."""
        axes = self.query_one(AxisList)
        if axes.has_focus:
            kept = [spec for number, spec in enumerate(self.setup.axes) if number != axes.cursor]
            self.become(replace(self.setup, axes=tuple(kept)))
            if not kept:
                self.stack.focus()
            return
        at = self.stack.cursor
        self.become(replace(self.setup, stack=(*self.setup.stack[:at], *self.setup.stack[at + 1 :])))

    def do_stronger(self) -> None:
        self.change_item(lambda item: generation.nudged(item, 1))

    def do_weaker(self) -> None:
        self.change_item(lambda item: generation.nudged(item, -1))

    def do_off(self) -> None:
        self.change_item(generation.switched)

    @on(StackList.Nudged)
    def _nudged(self, event: StackList.Nudged) -> None:
        self.change_item(lambda item: generation.nudged(item, event.steps))

    @on(StackList.Dragged)
    def _dragged(self, event: StackList.Dragged) -> None:
        self.change_item(lambda item: replace(item, strength=round(event.strength, 4), te=None, off=None))

    @on(RowList.Chosen, "#stack")
    async def _stack_opened(self) -> None:
        await self.action_act("generate.strength")

    def do_strength(self) -> None:
        from tui.widgets.dialogs import Ask

        item = self.item
        if item is None:
            return

        def done(text: str | None) -> None:
            if text:
                self.change_item(lambda now: generation.typed_strength(now, text))

        told = item.tag.removeprefix(f"<lora:{item.alias}:").removesuffix(">")
        hint = "0.8 · 0.4:0.8 text encoder first · 0.8:start=4:stop=12 · 0.8:lbw=STYLE\nTrigger words: "
        hint += ", ".join(item.trigger_words) or "none known"
        check = lambda text: generation.typed_strength(item, text)  # noqa: E731 - shorter than a name for it
        self.app.push_screen(Ask(f"strength of {item.alias}", told, hint=hint, check=check), done)

    # settings -----------------------------------------------------------------------------------------------------

    def do_settings(self) -> None:
        self.add_class("-settings")
        self.query_one(SettingsList).focus()

    @on(RowList.Chosen, "#settings")
    def _setting_opened(self) -> None:
        line = self.query_one(SettingsList).current
        if line is None:
            return
        name, value = line
        known = generate_settings.choices(name)
        if known:
            from tui.widgets.dialogs import Choose

            options = [(key, key or "automatic", remark) for key, remark in known]
            self.app.push_screen(Choose(name.replace("_", " "), options, at=value), self._setter(name))
        elif name in generate_settings.PATHS:
            from tui.screens.pick_path import PickPath

            hint = generate_settings.SETTINGS[name]
            suffixes = generate_settings.PATHS[name]
            self.app.push_screen(PickPath(name, value, hint=hint, suffixes=suffixes), self._setter(name))
        else:
            from tui.widgets.dialogs import Ask

            check = lambda text: generate_settings.assign(self.setup.settings, name, text)  # noqa: E731
            hint = generate_settings.SETTINGS[name]
            self.app.push_screen(Ask(name.replace("_", " "), value, hint=hint, check=check), self._setter(name))

    def _setter(self, name: str) -> Callable[[str | None], None]:
        from registry.errors import HubError

        def done(text: str | None) -> None:
            if text is None:
                return
            try:
                settings = generate_settings.assign(self.setup.settings, name, text)
            except HubError as error:
                self.complain(str(error))
            else:
                self.become(replace(self.setup, settings=settings))

        return done

    # axes ---------------------------------------------------------------------------------------------------------

    def do_axis(self) -> None:
        """Ask what varies, of which LoRA, and its values."""
        from hubman.generate.grids.spec import KINDS
        from tui.widgets.dialogs import Choose

        options = [(word, word, kind.help) for word, kind in KINDS.items()]

        def chosen(word: str | None) -> None:
            if word is None:
                return
            item = self.item
            target = item.alias if item is not None and KINDS[word].target == "lora" else ""
            example = KINDS[word].example
            start = f"{word}:{target}=" if target else f"{word}="
            self._ask_axis(len(self.setup.axes), start, f"for example {example}")

        self.app.push_screen(Choose("what varies", options), chosen)

    @on(RowList.Chosen, "#axes")
    def _axis_opened(self) -> None:
        from hubman.generate.grids.spec import KINDS

        axes = self.query_one(AxisList)
        if axes.current is not None:
            example = KINDS[axes.current.kind].example
            self._ask_axis(axes.cursor, str(axes.current), f"for example {example}")

    def _ask_axis(self, at: int, text: str, hint: str) -> None:
        from tui.widgets.dialogs import Ask

        def done(answer: str | None) -> None:
            if answer is not None:
                spec = self._read_axis(answer)
                axes = (*self.setup.axes[:at], spec, *self.setup.axes[at + 1 :])
                self.become(replace(self.setup, axes=axes))
                self.query_one(AxisList).focus()

        hint = f"{hint}\nvalues: 0-1 (+0.25) by step, 0-1 [6] by number, or a list"
        self.app.push_screen(Ask("axis of the grid", text, hint=hint, check=self._read_axis), done)

    def _read_axis(self, text: str) -> AxisSpec:
        """Raises ``HubError`` for an axis that can't be drawn with what is set up."""
        from tui import generate_grid

        return generate_grid.read_axis(self.registry, self.setup, text)

    # what is shown of it ------------------------------------------------------------------------------------------

    def show_lists(self, setup: Setup) -> None:
        """Show stack, settings and axes."""
        self.stack.set_items(list(setup.stack))
        self.query_one(SettingsList).set_items(setup.settings.lines)
        axes = self.query_one(AxisList)
        axes.set_items(list(setup.axes))
        axes.display = bool(setup.axes)
        axes.styles.height = min(3, len(setup.axes))


def _items(registry: Registry, chosen: Sequence[Chosen]) -> list[StackItem]:
    return [generation.item_of(registry, model, version_id=version) for model, version in chosen]
