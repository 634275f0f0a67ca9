"""The command that keeps the index live."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import msgspec

from hubman.cli import output
from hubman.cli.library import open_registry
from registry import locks
from registry.errors import HubError

if TYPE_CHECKING:
    from registry.watch import Checked

_BUSY = HubError(locks.WATCHED, "such as an open TUI; nothing is left to do")


@click.command()
@click.option("--until-eof", is_flag=True, hidden=True, help="Stop when the standard input ends: with who started it.")
@output.json_option
def watch(until_eof: bool, as_json: bool) -> None:
    """Keep the index live until it is stopped: what changes in the indexed folders is listed at once, then hashed.

    The TUI does the same while it is open. When all is hashed it makes fingerprints of LoRAs, for ``hubman analyze``.
    Both wait while a job trains or draws. With --json it prints one object
    a line: a look at the disk has ``models``, work under way has ``stage``.
    """
    from hubman.jobs.busy import may_hash
    from hubman.lora.background import Background
    from registry.watch import Watcher

    with open_registry() as registry, locks.only_one(registry, "watch", _BUSY):
        tell = _as_json if as_json else _as_text
        watcher = Watcher(
            registry, tell, _progress_as_json if as_json else _silent, may_hash(registry), Background(registry)
        )
        signal.signal(signal.SIGTERM, lambda *_: watcher.stop())
        signal.signal(signal.SIGINT, lambda *_: watcher.stop())
        if until_eof:
            threading.Thread(target=_stop_at_the_end_of_input, args=(watcher.stop,), daemon=True).start()
        watcher.run()


def _stop_at_the_end_of_input(stop: Callable[[], None]) -> None:
    sys.stdin.buffer.read()
    stop()


def _silent(_stage: str, _done: int, _total: int) -> None:
    """A line a look is enough for a person."""


def _progress_as_json(stage: str, done: int, total: int) -> None:
    _print({"stage": stage, "done": done, "total": total})


def _as_json(checked: Checked) -> None:
    _print(checked)


def _as_text(checked: Checked) -> None:
    waiting = f", {checked.waiting:,} not hashed yet" if checked.waiting else ""
    output.say(f"{checked.models:,} models, checked in {checked.seconds:.1f} s{waiting}")
    if checked.problem:
        output.say(checked.problem)


def _print(record: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(record) + b"\n")
    sys.stdout.buffer.flush()
