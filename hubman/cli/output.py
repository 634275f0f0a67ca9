"""The one owner of standard output: tables and progress for people, JSON for programs."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any, TypeVar

import click
import msgspec

from hubman.progress import Progress, Report, silent
from registry.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Add ``--json`` to a command as the argument ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document for programs.")(command)


def print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=2).decode())


def _plain(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise NotImplementedError(f"{type(value)} has no form in JSON")


def clean(text: object) -> str:
    """``text`` on one line without control characters: names from outside must not steer the terminal."""
    return "".join(
        " " if c in "\n\t" else c for c in str(text) if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf"}
    )


def query_line(parts: Sequence[str]) -> str:
    """A query from a command's arguments, of which many begin with a minus. Raises ``click.NoSuchOption``."""
    for part in parts:
        if part.startswith("--"):
            raise click.NoSuchOption(part)
    return " ".join(parts)


def say(text: str) -> None:
    click.echo(clean(text))


def table(rows: Sequence[Sequence[object]], headings: Sequence[str]) -> None:
    """Columns as wide as their content, cut at the terminal's edge; without a terminal tab-separated and whole."""
    cells = [[clean("" if value is None else value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            click.echo("\t".join(row))
        return
    from rich.cells import cell_len, set_cell_size

    widths = [max([cell_len(heading), *(cell_len(row[i]) for row in cells)]) for i, heading in enumerate(headings)]
    room = shutil.get_terminal_size().columns
    if sum(widths) + 2 * len(widths) > room:
        widths[0] = max(8, widths[0] - (sum(widths) + 2 * len(widths) - room))
    click.secho("  ".join(set_cell_size(h, w) for h, w in zip(headings, widths, strict=True)).rstrip(), dim=True)
    for row in cells:
        click.echo("  ".join(set_cell_size(value, w) for value, w in zip(row, widths, strict=True)).rstrip())


@contextmanager
def progress(*, quiet: bool = False, words: Mapping[str, str] | None = None) -> Iterator[Report]:
    """A :data:`Report` that draws one bar a stage on a terminal, and nothing in a pipe.

    ``words`` are what stages are called; one that is called nothing is not drawn.
    """
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    said = words or {}
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(28),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True)) as bars:

        def report(event: Progress) -> None:
            name = said.get(event.stage, event.stage)
            if not name:
                return
            if event.stage not in tasks:
                tasks[event.stage] = bars.add_task(clean(name), total=None, note="")
            note = _flow(event) or clean(event.message) or _count(event)
            bars.update(tasks[event.stage], completed=event.done, total=event.total or None, note=note)

        yield report


def _count(event: Progress) -> str:
    return f"{event.done:g}/{event.total:g} {event.unit}".strip() if event.total else ""


def _flow(event: Progress) -> str:
    """How far and fast many files are, where somebody counts that."""
    if "rate" not in event.data:
        return ""
    parts = [f"{size(event.done)} of {size(event.total)}", f"{size(event.data['rate'])}/s"]
    if "left" in event.data:
        parts.append(f"{timedelta(seconds=event.data['left'])} left")
    return "  ".join([*parts, clean(event.message)])


def count(number: int, noun: str) -> str:
    """``1 file``, ``4,812 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def minute(time: str | None) -> str:
    """A time of the registry (UTC) as the clock on this wall shows it: ``2026-11-28 02:18``; empty for none."""
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M") if time else ""


def agreed(question: str, *, yes: bool) -> bool:
    """Whether to carry a plan out: ``--yes`` was given, or a person on a terminal says so.

    Raises :class:`UsageError` where nobody can be asked.
    """
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("nobody is there to agree to the plan", "--yes carries it out, --dry-run only shows it")
    return click.confirm(question)


def size(count: float) -> str:
    """Bytes as a person reads them, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
