"""Watching the queue of downloads from a terminal, and saying what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.progress import Progress, Report
from registry.database import Registry
from registry.errors import CancelledError, HubError
from registry.pull_queue import PullItem


def watch(registry: Registry, items: Sequence[PullItem], *, quiet: bool) -> list[PullItem]:
    """Show how far these are until each has ended; Ctrl-C holds them, with what has arrived."""
    from hubman.civitai import queue

    numbers = [item.id for item in items]
    try:
        with output.progress(quiet=quiet) as report:
            return queue.follow(registry, numbers, _with_bytes(report))
    except KeyboardInterrupt:
        with open_registry() as other:
            queue.pause(other, numbers)
        raise CancelledError("held; what has arrived is kept", "hubman queue resume goes on") from None


def _with_bytes(report: Report) -> Report:
    """Tells how many bytes have come, of how many, beside what is on its way."""

    def told(event: Progress) -> None:
        sizes = f"{output.size(event.done)} of {output.size(event.total)}"
        report(msgspec.structs.replace(event, message=f"{sizes}  {event.message}"))

    return told


def results(items: Sequence[PullItem], *, as_json: bool, detached: bool = False) -> None:
    """Say what became of each. Raises :class:`HubError` when one failed or is held."""
    if as_json:
        output.print_json([_document(item) for item in items])
    else:
        for item in items:
            _say(item, detached=detached)
        if not items:
            click.echo("nothing to download", err=True)
    bad = [item for item in items if item.state in {"failed", "paused"}]
    if bad and not detached:
        raise HubError(
            f"{len(bad)} of {len(items)} downloads did not end well" if len(items) > 1 else bad[0].error or "held",
            "hubman queue retry tries them again" if bad[0].state == "failed" else "hubman queue resume goes on",
        )


def _document(item: PullItem) -> dict[str, Any]:
    names = ("id", "ref", "title", "state", "error", "version_id", "path", "sha256", "verified")
    return {name: getattr(item, name) for name in names}


def _say(item: PullItem, *, detached: bool) -> None:
    if item.state == "done":
        said = "verified" if item.verified else "Civitai has not scanned it yet"
        output.say(f"{item.path} (sha256 {item.sha256[:12]}, {said})")
    elif item.state in {"failed", "paused"}:
        click.echo(output.clean(f"{item.title}: {item.error or 'held'}"), err=True)
    elif detached:
        output.say(f"{item.title} is number {item.position} in the queue")
