"""``hubman sync --watch``: one line, or one JSON object, for each thing that happens."""

from __future__ import annotations

import signal
import sys
import threading
from datetime import datetime
from typing import TYPE_CHECKING

import click
import msgspec

from hubman.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hubman.sync.run import SyncResult
    from hubman.sync.watching import Event
    from registry.database import Registry


def watch(registry: Registry, names: Sequence[str], *, as_json: bool) -> None:
    """Sync with ``names`` whenever there is reason to, until Ctrl-C or SIGTERM, which end it after the current step."""
    from hubman.sync import watching

    stopped = threading.Event()
    before = [(number, signal.signal(number, lambda *_: stopped.set())) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        watching.watch(registry, names, _as_json if as_json else _as_text, stopped)
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _as_json(event: Event) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
    sys.stdout.buffer.flush()


def _as_text(event: Event) -> None:
    at = datetime.now().astimezone().strftime("%H:%M:%S")
    if event.result is None:
        click.echo(f"{at} {event.remote}: {output.clean(event.problem)}", err=True)
        return
    for warning in event.result.warnings:
        click.echo(f"{at} {event.remote}: {output.clean(warning)}", err=True)
    output.say(f"{at} {event.remote}: {words(event.result)}")


def words(result: SyncResult) -> str:
    """What a sync did, in a line."""
    gone = (
        f"let go of {output.count(result.let_go, 'file')} ({output.size(result.let_go_bytes)})" if result.let_go else ""
    )
    return (
        f"sent {output.count(result.sent_changes, 'change')} and {output.count(result.uploaded, 'file')}, "
        f"received {output.count(result.received_changes, 'change')} and {output.count(result.downloaded, 'file')}"
        f"{', ' * bool(gone)}{gone}"
    )
