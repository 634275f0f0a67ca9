"""The command ``grid``: grids that were drawn or are being drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubman.cli import output
from hubman.cli.arguments import GivenPath
from hubman.cli.library import open_registry
from hubman.cli.work import conclude, follow
from registry.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from hubman.generate.grids.view import GridReader
    from hubman.jobs.records import Job
    from registry.database import Registry


@click.group()
def grid() -> None:
    """Grids stay data: look at one while it fills, go on with it, take it out as pictures or as a table."""


@grid.command("axes")
@output.json_option
def grid_axes(as_json: bool) -> None:
    """What can vary, and how it is written."""
    from hubman.generate.grids.spec import KINDS

    rows = [(word, kind.example, kind.help) for word, kind in KINDS.items()]
    if as_json:
        output.print_json([{"kind": word, "example": example, "help": text} for word, example, text in rows])
        return
    output.table(rows, ("axis", "such as", "what varies"))


@grid.command("ls")
@output.json_option
def grid_ls(as_json: bool) -> None:
    """All grids, the newest first, and how much of each is drawn."""
    from hubman.generate.grids.view import grids
    from hubman.generate.record import generations_folder

    with open_registry() as registry:
        found = grids(generations_folder(registry))
    if as_json:
        output.print_json(found)
        return
    if not found:
        click.echo("no grids yet", err=True)
    rows = [(one.id[-6:], f"{one.drawn}/{one.total}", " x ".join(one.axes), one.problem or one.title) for one in found]
    output.table(rows, ("id", "drawn", "axes", "title"))


@grid.command("show")
@click.argument("ref", metavar="ID")
@output.json_option
def grid_show(ref: str, as_json: bool) -> None:
    """The cells of a grid: their values on each axis, and where their pictures lie."""
    with open_registry() as registry:
        view = _reader(registry, ref).look()
    if as_json:
        output.print_json(view)
        return
    output.say(f"{view.title}: {view.drawn} of {view.total} pictures")
    headings = [axis.label for axis in view.axes]
    output.table([(*cell.labels, cell.path) for cell in view.in_reading_order()], (*headings, "picture"))


@grid.command("export")
@click.argument("ref", metavar="ID")
@click.option("--out", type=GivenPath(), help="A folder; by default the grid's own.")
@click.option("--png", is_flag=True, help="Labelled sheets, in tiles where one would be too large.")
@click.option("--contact", is_flag=True, help="A contact sheet: each picture small, with what it shows.")
@click.option("--csv", "table", is_flag=True, help="A table of the cells with their settings.")
@click.option("--cell", default=0, type=click.IntRange(0, 4096), help="A picture's longer side in the PNG; 0 as drawn.")
@output.json_option
def grid_export(ref: str, out: Path | None, png: bool, contact: bool, table: bool, cell: int, as_json: bool) -> None:
    """Write a grid as files for outside of hubman; without an option all three kinds."""
    from hubman.generate.grids.cells import store_of
    from hubman.generate.grids.contact import write_contact
    from hubman.generate.grids.grid import load_grid
    from hubman.generate.grids.sheet import write_sheets
    from hubman.generate.grids.table import write_table

    with open_registry() as registry:
        reader = _reader(registry, ref)
    folder = out.expanduser().absolute() if out else reader.folder
    everything = not (png or contact or table)
    written: list[Path] = []
    if png or everything:
        written += write_sheets(load_grid(reader.folder), store_of(reader.folder), folder / "grid.png", cell_side=cell)
    if contact or everything:
        written += write_contact(reader.look(), folder / "contact.jpg")
    if table or everything:
        written.append(write_table(reader.look(), folder / "cells.csv"))
    if as_json:
        output.print_json(written)
        return
    for path in written:
        output.say(str(path))


@grid.command("resume")
@click.argument("ref", metavar="ID")
@output.json_option
def grid_resume(ref: str, as_json: bool) -> None:
    """Draw what a grid still lacks; nothing that is there is drawn again."""
    with open_registry() as registry:
        job = _resumed(registry, _reader(registry, ref))
    ended = follow(job)
    if as_json:
        output.print_json({"state": ended.state, "error": ended.error, **(ended.result or {})})
    if ended.state != "done" or not as_json:
        conclude(ended)
    if not as_json and ended.result and ended.result.get("grid_path"):
        output.say(f"grid {ended.result['grid_path']}")


def _resumed(registry: Registry, reader: GridReader) -> Job:
    """The job that draws the rest: the grid's own while it is known, for it may also measure; else a new one."""
    from hubman.jobs import store

    view = reader.look()
    try:
        own = store.look(registry, view.id)
    except NotFoundError:
        own = None
    if own is not None and not own.ended:
        return own
    if own is not None and own.state != "done":
        return store.resume(registry, own.id)
    request = {"prompt": view.title, "grid_id": view.id}
    return store.start(registry, "sweep", f"go on with {view.title[:40]}", request)


def _reader(registry: Registry, ref: str) -> GridReader:
    from hubman.generate.grids.grid import GRID_FILE
    from hubman.generate.grids.view import GridReader
    from hubman.generate.record import generations_folder

    wanted = ref.lower()
    folders = [path.parent for path in generations_folder(registry).glob(f"*/{GRID_FILE}")]
    found = [folder for folder in folders if folder.name.endswith(wanted)]
    if not wanted or not found:
        raise NotFoundError(f"no grid {ref}", "hubman grid ls lists them")
    if len(found) > 1:
        raise UsageError(f"{ref} means {len(found)} grids", "give more of the id")
    return GridReader(found[0])
