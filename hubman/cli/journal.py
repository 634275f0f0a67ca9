"""The commands that show what was done and take it back."""

from __future__ import annotations

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from registry import journal as entries
from registry import undo as undoing
from registry.journal import Entry
from registry.undo import Kept


@click.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="How many entries to list.")
@output.json_option
def journal(limit: int, as_json: bool) -> None:
    """List what was done to the library on this machine, the newest first; ``hubman undo ID`` takes one back."""
    with open_registry() as registry:
        found = entries.entries(registry, limit)
    if as_json:
        output.print_json(found)
        return
    output.table(
        [(entry.label, entry.verb, entry.at[:16].replace("T", " "), entry.id, _state(entry)) for entry in found],
        ("what", "verb", "when (UTC)", "id", ""),
    )


def _state(entry: Entry) -> str:
    if entry.undone_by is not None:
        return f"undone by {entry.undone_by}"
    return f"of {entry.undoes}" if entry.undoes is not None else ""


@click.command()
@click.argument("number", required=False, type=int, metavar="[ID]")
@click.option("--force", is_flag=True, help="Take back also what was edited again since.")
@click.option("--dry-run", is_flag=True, help="Say what would be taken back, and change nothing.")
@output.json_option
def undo(number: int | None, force: bool, dry_run: bool, as_json: bool) -> None:
    """Take back entry ID of the journal, or the newest that is in force. Undoing an undo does it again.

    What was edited again since, here or on another machine, stays as it is unless ``--force`` is given.
    """
    with open_registry() as registry:
        if dry_run:
            entry, kept = undoing.conflicts(registry, number)
            would, kept = "would take back", () if force else kept
        else:
            done = undoing.undo(registry, number, force=force)
            entry, kept = done.undoes, done.kept
            would = "took back" if done.entry.is_undo else "did again"
    if as_json:
        output.print_json({"entry": entry, "kept": kept})
        return
    output.say(f"{would}: {entry.label}")
    for one in kept:
        output.say(_sentence(one))


def _sentence(kept: Kept) -> str:
    return f"stays: {kept.field} of {kept.name} {kept.reason}"
