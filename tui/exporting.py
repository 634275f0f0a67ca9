"""A grid as files to show outside of hubman."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FORMS: Mapping[str, str] = {
    "sheet": "one PNG a page, with the axes written beside the pictures",
    "contact sheet": "JPEGs of small pictures in reading order, each with its values",
    "table": "CSV: one line a cell with its settings and where its picture lies",
}
SUFFIXES: Mapping[str, str] = {"sheet": ".png", "contact sheet": ".jpg", "table": ".csv"}


def export(folder: Path, form: str, path: Path) -> str:
    """Write the grid of ``folder``; returns what was written, in words. For a thread. Raises ``HubError``."""
    from hubman.generate.grids.cells import store_of
    from hubman.generate.grids.contact import write_contact
    from hubman.generate.grids.grid import load_grid
    from hubman.generate.grids.sheet import write_sheets
    from hubman.generate.grids.table import write_table
    from hubman.generate.grids.view import GridReader
    from tui import formats

    path = path if path.suffix else path.with_suffix(SUFFIXES[form])
    if form == "table":
        written = [write_table(GridReader(folder).look(), path)]
    elif form == "sheet":
        written = write_sheets(load_grid(folder), store_of(folder), path)
    else:
        written = write_contact(GridReader(folder).look(), path)
    return f"{formats.count(len(written), 'file')}: {written[0]}"
