"""Colours of the theme for widgets that draw their own lines."""

from __future__ import annotations

from functools import lru_cache

from rich.style import Style
from textual.widget import Widget


def ink(widget: Widget, component: str) -> Style:
    """The foreground and weight of a component, resolved against the widget's background.

    A partial style would not do: colours such as ``$text-muted`` are shares of what lies behind them.
    """
    return _foreground(widget.get_component_rich_style(component))


@lru_cache(maxsize=512)
def _foreground(style: Style) -> Style:
    return Style(color=style.color, bold=style.bold or None, italic=style.italic or None)
