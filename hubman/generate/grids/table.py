"""A grid as a table for spreadsheets: a row for each cell, with its value on each axis and all of its settings."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from hubman import bases
from hubman.generate.files import replace_file
from hubman.generate.grids.view import GridView
from hubman.generate.prompt import with_tags
from hubman.generate.request import DrawRequest
from registry.exchange_csv import guarded

_SETTINGS = (
    "seed", "steps", "cfg", "sampler", "schedule", "width", "height", "clip_skip", "emphasis", "mode", "denoise", "base",
    "negative",
)  # fmt: skip


def write_table(view: GridView, path: Path) -> Path:
    """Write the cells as CSV in reading order: place, axes, whether and where drawn, settings, the prompt with its tags."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    labels = [f"{axis.label} ({axis.kind})" if axis.kind else axis.label for axis in view.axes]
    writer.writerow(["page", "row", "column", *map(guarded, labels), "drawn", "picture", "key", *_SETTINGS, "prompt"])
    for cell in view.in_reading_order():
        place = (cell.place.page + 1, cell.place.row + 1, cell.place.column + 1)
        drawn = ("yes" if cell.path else "no", cell.path, cell.key)
        words = with_tags(cell.request.prompt, cell.request.loras)
        row = [*cell.labels, *drawn, *_settings(cell.request), words]
        writer.writerow([*place, *(guarded(str(value)) for value in row)])
    replace_file(path, lambda file: file.write(text.getvalue().encode()))
    return path


def _settings(request: DrawRequest) -> list[str]:
    values = {name: getattr(request, name) for name in _SETTINGS}
    values["base"] = bases.display_name(Path(request.base))
    return [
        "" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in values.values()
    ]
