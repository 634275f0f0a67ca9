"""The command that lists edits that lost a race between machines, and lets a person choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from hubman.cli import output
from hubman.cli.library import open_registry

if TYPE_CHECKING:
    from hubman.sync.lost import Keep, LostEdit, Side


_GONE = frozenset({"deleted_at", "removed_at"})
"""Fields that say whether something was put aside."""


@click.group(invoke_without_command=True)
@output.json_option
@click.pass_context
def conflicts(ctx: click.Context, as_json: bool) -> None:
    """List what two machines said of one thing without knowing of each other; ``conflicts keep`` chooses."""
    if ctx.invoked_subcommand is not None:
        return
    from hubman.sync import lost

    with open_registry() as registry:
        found = lost.unseen(registry)
    if as_json:
        output.print_json(found)
        return
    if not found:
        output.say("no conflicts")
        return
    output.table([_row(edit) for edit in found], ("what", "mine", "theirs", "id"))
    click.echo("* shows now; hubman conflicts keep ID mine, theirs or both chooses", err=True)


@conflicts.command("keep")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@click.argument("side", type=click.Choice(["mine", "theirs", "both"]))
@click.option("--all", "is_all", is_flag=True, help="Of all that are listed; with both, of those that can be both.")
@output.json_option
def keep(ids: tuple[int, ...], side: Keep, is_all: bool, as_json: bool) -> None:
    """Make mine, theirs or both the newest word on every machine. ``hubman undo`` takes it back."""
    from hubman.sync import lost
    from registry.errors import UsageError

    if bool(ids) == is_all:
        raise UsageError("which conflicts are meant", "give their ids, or --all")
    with open_registry() as registry:
        found = lost.unseen(registry)
        wanted = [edit.id for edit in found if edit.can_keep_both or side != "both"] if is_all else list(ids)
        lost.resolve_all(registry, wanted, side)
        left = lost.count(registry)
    if as_json:
        output.print_json({"kept": side, "resolved": wanted, "left": left})
        return
    output.say(f"kept {side} of {len(wanted)}; {left} left")


def _row(edit: LostEdit) -> Sequence[object]:
    field = "trash" if edit.field in _GONE else edit.field.replace("_", " ")
    return f"{edit.name}: {field}", _said(edit, edit.mine), _said(edit, edit.theirs), edit.id


def _said(edit: LostEdit, side: Side) -> str:
    """A star marks what shows now."""
    where = f" ({side.device_name or side.device[:8]}, {output.minute(side.at)})" if side.device else ""
    return f"{_words(edit, side)}{' *' if side.shows else ''}{where}"


def _words(edit: LostEdit, side: Side) -> str:
    if edit.field in _GONE:
        if edit.kind == "trash" and not side.shows:
            return f"edited: {', '.join(side.value)}"
        return "in the trash" if side.value else "not in the trash"
    return _plain(side.value)


def _plain(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
