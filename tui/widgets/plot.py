"""Curves from braille dots: 2x4 dots a cell, the lowest and highest value of each column of dots joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.columns import cut

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True)
class Series:
    """A named curve of (x, y) points, x rising. ``color`` names a component style of :class:`Plot`.

    ``scale`` is (low, high) of its own, or None to share the plot's range. With a ``mark`` its points stand by themselves;
    one that is ``over`` the others hides what they have in its cells.
    """

    name: str
    points: Sequence[tuple[float, float]]
    color: str = "first"
    scale: tuple[float, float] | None = None
    mark: str = ""
    over: bool = False


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and highest value, a little apart even for a constant."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if high - low < 1e-12:
        margin = abs(high) * 0.1 or 0.5
        return low - margin, high + margin
    return low, high


def columns_of(
    points: Sequence[tuple[float, float]], x_range: tuple[float, float], count: int
) -> list[tuple[float, float] | None]:
    """The (lowest, highest) y in each of ``count`` columns; gaps between points are bridged by straight lines."""
    left, right = x_range
    width = (right - left) or 1.0
    found: list[tuple[float, float] | None] = [None] * count
    before: tuple[int, float] | None = None
    for x, y in points:
        column = min(count - 1, max(0, int((x - left) / width * (count - 1) + 0.5)))
        if before is not None:
            for between in range(before[0] + 1, column):
                share = (between - before[0]) / (column - before[0])
                value = before[1] + (y - before[1]) * share
                found[between] = _widen(found[between], value)
        found[column] = _widen(found[column], y)
        before = column, y
    return found


def _widen(span: tuple[float, float] | None, value: float) -> tuple[float, float]:
    return (value, value) if span is None else (min(span[0], value), max(span[1], value))


def middle_bounds(values: Sequence[float], share: float = 0.02) -> tuple[float, float]:
    """:func:`bounds` without the wildest ``share`` at either end: one spike must not flatten the whole curve."""
    ordered = sorted(values)
    cut_off = int(len(ordered) * share)
    return bounds(ordered[cut_off : len(ordered) - cut_off])


def braille(
    columns: Sequence[tuple[float, float] | None], y_range: tuple[float, float], width: int, height: int
) -> list[str]:
    """Lines of braille characters for ``2 * width`` columns; an empty cell is a space."""
    cells = [[0] * width for _ in range(height)]
    low, high = y_range
    dots = 4 * height
    last: tuple[int, int] | None = None
    for x, span in enumerate(columns[: 2 * width]):
        if span is None:
            last = None
            continue
        top, bottom = (_row(value, low, high, dots) for value in (span[1], span[0]))
        # Joined to the column before, so that a steep curve stays one line.
        first, until = (min(top, last[1] + 1), max(bottom, last[0] - 1)) if last else (top, bottom)
        for y in range(max(0, first), min(dots - 1, until) + 1):
            cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
        last = top, bottom
    return ["".join(chr(0x2800 + cell) if cell else " " for cell in line) for line in cells]


def marked(
    series: Series, x_range: tuple[float, float], y_range: tuple[float, float], width: int, height: int
) -> list[str]:
    """Lines with the mark of ``series`` in the cell of each of its points."""
    cells = [[" "] * width for _ in range(height)]
    left, right = x_range
    for x, y in series.points:
        column = min(width - 1, max(0, int((x - left) / ((right - left) or 1.0) * (width - 1) + 0.5)))
        cells[_row(y, *y_range, height)][column] = series.mark
    return ["".join(line) for line in cells]


def _row(value: float, low: float, high: float, dots: int) -> int:
    share = (value - low) / ((high - low) or 1.0)
    return min(dots - 1, max(0, round((1 - share) * (dots - 1))))


class Plot(Widget):
    """Curves over a common x axis, with the ends of the axes written out."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"plot--{name}" for name in ("axis", "first", "second", "third", "faint")}
    DEFAULT_CSS = """
    Plot {
        height: 1fr; min-height: 4;
        & > .plot--axis { color: $text-muted; }
        & > .plot--first { color: $text-primary; }
        & > .plot--second { color: $text-success; }
        & > .plot--third { color: $text-warning; }
        & > .plot--faint { color: $text-disabled; }
    }
    """
    LABELS = 8
    """Cells left of the plot for the y axis."""

    def __init__(self, *, id: str | None = None, x_name: str = "", empty: str = "") -> None:
        super().__init__(id=id)
        self._series: tuple[Series, ...] = ()
        self._y_range: tuple[float, float] | None = None
        self._x_name = x_name
        self._empty = empty
        self._lines: list[Strip] = []
        self._drawn_at: tuple[int, int] | None = None

    def show(self, *series: Series, y_range: tuple[float, float] | None = None) -> None:
        """The first series that has dots in a cell colours it. Without ``y_range`` all shared points are in sight."""
        self._series = tuple(one for one in series if one.points)
        self._y_range = y_range
        self._drawn_at = None
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn_at = None

    def render_line(self, y: int) -> Strip:
        size = (self.size.width, self.size.height)
        if self._drawn_at != size:
            self._lines = self._draw()
            self._drawn_at = size
        base = self.rich_style
        return self._lines[y].adjust_cell_length(size[0], base) if y < len(self._lines) else Strip.blank(size[0], base)

    def _draw(self) -> list[Strip]:
        base = self.rich_style
        axis = self.get_component_rich_style("plot--axis")
        width, height = self.size.width - self.LABELS, self.size.height - 2
        if not self._series or width < 4 or height < 1:
            return [Strip.blank(self.size.width, base), Strip([Segment(" " + self._empty, axis)])]
        xs = [x for series in self._series for x, _ in series.points]
        x_range = min(xs), max(xs)
        shared = self._y_range or bounds([y for one in self._series if one.scale is None for _, y in one.points])
        layers = [
            (series, self._lines_of(series, x_range, series.scale or shared, width, height)) for series in self._series
        ]
        y_range = shared if any(series.scale is None for series in self._series) else (self._series[0].scale or shared)
        lines = [self._legend()]
        for row in range(height):
            label = _short(y_range[1]) if row == 0 else _short(y_range[0]) if row == height - 1 else ""
            segments = [Segment(label.rjust(self.LABELS - 2) + " ▏", axis)]
            segments += [self._overlay(layers, row, column) for column in range(width)]
            lines.append(Strip(segments))
        left, right = _number(x_range[0]), _number(x_range[1])
        names = left + self._x_name.center(max(0, width - len(left) - len(right))) + right
        return [*lines, Strip([Segment(" " * self.LABELS + cut(names, width), axis)])]

    def _lines_of(
        self, series: Series, x_range: tuple[float, float], y_range: tuple[float, float], width: int, height: int
    ) -> list[str]:
        if series.mark:
            return marked(series, x_range, y_range, width, height)
        return braille(columns_of(series.points, x_range, 2 * width), y_range, width, height)

    def _overlay(self, layers: list[tuple[Series, list[str]]], row: int, column: int) -> Segment:
        """The dots of all curves in one cell; the colour is the first one's that has any there, a mark hides them."""
        dots, color = 0, ""
        for series, lines in layers:
            character = lines[row][column]
            if character != " " and series.mark:
                return Segment(character, self.get_component_rich_style(f"plot--{series.color}"))
            if character != " ":
                dots |= ord(character) - 0x2800
                color = color or series.color
                if series.over:
                    break
        base = self.rich_style
        if not dots:
            return Segment(" ", base)
        return Segment(chr(0x2800 + dots), self.get_component_rich_style(f"plot--{color}"))

    def _legend(self) -> Strip:
        base = self.rich_style
        segments = [Segment(" " * self.LABELS, base)]
        for series in self._series:
            style = self.get_component_rich_style(f"plot--{series.color}")
            mark = f"{series.mark} " if series.mark else ""
            # Where a mark hides curves it is its place along the axis that tells something.
            last = "" if series.over and series.mark else f" {_number(series.points[-1][1])}"
            segments.append(Segment(f"{mark}{series.name}{last}   ", style))
        return Strip(segments)


def _number(value: float) -> str:
    return f"{value:.3g}"


def _short(value: float) -> str:
    """With fewer digits where :func:`_number` has no room left of the axis: its line must stay straight."""
    texts = [f"{value:.{digits}g}" for digits in (3, 2, 1)]
    return next((text for text in texts if len(text) <= Plot.LABELS - 2), texts[-1])
