"""``hubman sync --dry-run``: what waits both ways."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hubman.cli import output
from hubman.sync.pending import Pending, Side, pending
from registry.database import Registry

_MOST_LINES = 20
"""Edits, and files, of each way that are listed for a person; ``--json`` lists them all."""


def tell(registry: Registry, names: Sequence[str], *, as_json: bool) -> None:
    """Print what a sync with each of these remotes would move. Raises as :func:`hubman.sync.pending.pending` does."""
    found = {name: pending(registry, name) for name in names}
    if as_json:
        output.print_json({name: _plain(one) for name, one in found.items()})
        return
    for name, one in found.items():
        if one.is_empty:
            output.say(f"{name}: nothing waits")
        else:
            _say_side(f"{name} ↑ goes up", one.up)
            _say_side(f"{name} ↓ comes in", one.down)
        for unread in one.unread:
            batches = "1 batch" if unread.batches == 1 else f"{unread.batches:,} batches"
            output.say(f"  {unread.name}: {batches} not read{f', {unread.problem}' if unread.problem else ''}")
        for problem in one.problems:
            output.say(f"  ! {problem}")


def _say_side(title: str, side: Side) -> None:
    if side.is_empty:
        output.say(f"{title}: nothing")
        return
    changes = "1 change" if side.changes == 1 else f"{side.changes:,} changes"
    files = "1 file" if side.file_count == 1 else f"{side.file_count:,} files"
    output.say(f"{title}: {changes}, {files} ({output.size(side.bytes)})")
    for line in side.edits[:_MOST_LINES]:
        output.say(f"  {line}")
    if len(side.edits) > _MOST_LINES:
        output.say(f"  and {len(side.edits) - _MOST_LINES:,} more edits")
    for file in side.files[:_MOST_LINES]:
        output.say(f"  {file.name}  {output.size(file.size)}{f'  ! {file.problem}' if file.problem else ''}")
    if side.file_count > _MOST_LINES:
        output.say(f"  and {side.file_count - min(_MOST_LINES, len(side.files)):,} more files")


def _plain(one: Pending) -> dict[str, object]:
    """Without what only the next look needs."""
    body: dict[str, object] = msgspec.to_builtins(msgspec.structs.replace(one, heads=(), incoming=()))
    return {name: value for name, value in body.items() if name not in {"heads", "incoming"}}
