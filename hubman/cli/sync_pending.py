"""``hubman sync --dry-run``: what waits both ways."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec

from hubman.cli import output
from hubman.sync.pending import Pending, Side, pending
from registry.database import Registry
from registry.errors import HubError

_MOST_LINES = 20
"""Edits, and files, of each way that are listed for a person; ``--json`` lists them all."""


def tell(registry: Registry, names: Sequence[str], *, as_json: bool) -> int:
    """Print what a sync with each of these remotes would move; exit status 1 if one of them can't be reached.

    Raises as :func:`hubman.sync.pending.pending` does where there is only one.
    """
    found: dict[str, Pending] = {}
    failed: dict[str, HubError] = {}
    for name in names:
        try:
            found[name] = pending(registry, name)
        except HubError as error:
            if len(names) == 1:
                raise
            failed[name] = error
    if as_json:
        problems = {name: {"remote": name, "problem": str(why)} for name, why in failed.items()}
        output.print_json({name: _plain(one) for name, one in found.items()} | problems)
    else:
        _say(found)
        for name, why in failed.items():
            click.echo(output.clean(f"hubman: {name}: {why}"), err=True)
    return 1 if failed else 0


def _say(found: dict[str, Pending]) -> None:
    for name, one in found.items():
        if one.is_empty:
            output.say(f"{name}: nothing waits")
        else:
            _say_side(f"{name} ↑ goes up", one.up)
            _say_side(f"{name} ↓ comes in", one.down)
        for unread in one.unread:
            if unread.told < unread.batches:
                rest = unread.batches - unread.told
                more = "1 more batch" if rest == 1 else f"{rest:,} more batches"
                why = unread.problem or "the sync reads them"
                output.say(f"  from {unread.name}: {more} of changes, {why}")
        for problem in one.problems:
            output.say(f"  ! {problem}")


def _say_side(title: str, side: Side) -> None:
    if side.is_empty:
        output.say(f"{title}: nothing")
        return
    changes, files = output.count(side.changes, "change"), output.count(side.file_count, "file")
    output.say(f"{title}: {changes}, {files} ({output.size(side.bytes)})")
    for line in side.edits[:_MOST_LINES]:
        output.say(f"  {line}")
    if len(side.edits) > _MOST_LINES:
        output.say(f"  and {output.count(len(side.edits) - _MOST_LINES, 'more edit')}")
    for file in side.files[:_MOST_LINES]:
        output.say(f"  {file.name}  {output.size(file.size)}{f'  ! {file.problem}' if file.problem else ''}")
    if side.file_count > _MOST_LINES:
        output.say(f"  and {output.count(side.file_count - min(_MOST_LINES, len(side.files)), 'more file')}")


def _plain(one: Pending) -> dict[str, object]:
    """Without what only the next look needs."""
    body: dict[str, object] = msgspec.to_builtins(msgspec.structs.replace(one, heads=(), incoming=()))
    return {name: value for name, value in body.items() if name not in {"heads", "incoming"}}
