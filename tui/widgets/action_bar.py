"""The last line of the screen: the keys that matter here, as many as fit."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tui.acting import Acting
from tui.actions import ACTIONS, Action, of_scope
from tui.widgets.columns import cut


class ActionBar(Widget):
    """``e edit  t tags … ? keys`` for one scope; a key that can't be used now is dimmed, a click acts."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"action-bar--key", "action-bar--off"}
    DEFAULT_CSS = """
    ActionBar {
        dock: bottom; height: 1; background: $panel; color: $foreground;
        & > .action-bar--key { color: $text-accent; text-style: bold; }
        & > .action-bar--off { color: $text-disabled; }
    }
    """

    def __init__(self, scope: str) -> None:
        super().__init__()
        self._scope = scope

    def _spans(self) -> list[tuple[Action, str, str]]:
        """(action, key, label) of what fits, help always among them."""
        screen = self.screen
        fits = screen.in_footer if isinstance(screen, Acting) else lambda action: action.footer
        shown = [action for action in of_scope(self._scope) if fits(action)]
        spans = [
            (action, self._key(action), screen.label_of(action) if isinstance(screen, Acting) else action.label)
            for action in [*shown, ACTIONS["app.help"]]
        ]
        while len(spans) > 1 and sum(_width(span) for span in spans) > self.size.width - 1:
            del spans[-2]
        return spans

    def _key(self, action: Action) -> str:
        from tui.keymap import shown_keys

        return shown_keys(self.app, action)[0]

    def render_line(self, y: int) -> Strip:
        del y
        base = self.rich_style
        key_style = self.get_component_rich_style("action-bar--key")
        off = self.get_component_rich_style("action-bar--off")
        segments = [Segment(" ", base)]
        for action, key, label in self._spans():
            why_not = getattr(self.screen, "why_not", None)
            possible = action.scope == "app" or why_not is None or not why_not(action.id)
            segments.append(Segment(key, key_style if possible else off))
            segments.append(Segment(f" {label}  ", base if possible else off))
        text = Strip(segments)
        if text.cell_length > self.size.width:
            return Strip([Segment(cut(text.text, self.size.width), base)])
        return text.adjust_cell_length(self.size.width, base)

    async def on_click(self, event: events.Click) -> None:
        position = 1
        for action, key, label in self._spans():
            position += _width((action, key, label))
            if event.x < position:
                target = "app" if action.scope == "app" else "screen"
                await self.run_action(f"{target}.act('{action.id}')")
                return


def _width(span: tuple[Action, str, str]) -> int:
    return len(span[1]) + len(span[2]) + 3
