"""The command ``queue``: downloads that wait, run, and have ended."""

from __future__ import annotations

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.cli.pull_watch import results, watch
from registry.errors import UsageError
from registry.pull_queue import PullItem


@click.group(invoke_without_command=True)
@click.pass_context
def queue(ctx: click.Context) -> None:
    """Downloads: one list for all terminals, worked off in its order by a process of its own. Alone: the list."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(queue_ls)


@queue.command("ls")
@output.json_option
def queue_ls(as_json: bool = False) -> None:
    """What waits, in its order, then what has ended."""
    from hubman.civitai import queue as downloads

    with open_registry() as registry:
        items = downloads.items(registry)
    if as_json:
        output.print_json(items)
        return
    if not items:
        click.echo("nothing is queued", err=True)
    output.table(
        [(item.title, item.state, _done(item), item.id, item.error) for item in items],
        ("title", "state", "done", "id", "why"),
    )


def _done(item: PullItem) -> str:
    if item.state == "done" or not item.total:
        return output.size(item.done) if item.done else ""
    return f"{100 * item.done // item.total} % of {output.size(item.total)}"


@queue.command("pause")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]…")
def queue_pause(ids: tuple[int, ...]) -> None:
    """Hold downloads, all without an ID; what has arrived is kept."""
    from hubman.civitai import queue as downloads

    with open_registry() as registry:
        downloads.pause(registry, ids or None)
        _tell(downloads.items(registry), "paused")


@queue.command("resume")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]…")
def queue_resume(ids: tuple[int, ...]) -> None:
    """Let held downloads go on, all without an ID."""
    from hubman.civitai import queue as downloads

    with open_registry() as registry:
        downloads.resume(registry, ids or None)
        _tell(downloads.items(registry), "queued", "running")


@queue.command("move")
@click.argument("number", type=int, metavar="ID")
@click.argument("place", type=click.IntRange(1))
def queue_move(number: int, place: int) -> None:
    """Put a download at PLACE, from 1."""
    from hubman.civitai import queue as downloads

    with open_registry() as registry:
        downloads.move(registry, number, place)


@queue.command("retry")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]…")
def queue_retry(ids: tuple[int, ...]) -> None:
    """Queue failed downloads again, all without an ID."""
    from hubman.civitai import queue as downloads

    with open_registry() as registry:
        downloads.retry(registry, ids or None)
        _tell(downloads.items(registry), "queued", "running")


@queue.command("rm")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]…")
@click.option("--ended", is_flag=True, help="All that are done or have failed.")
def queue_rm(ids: tuple[int, ...], ended: bool) -> None:
    """Forget downloads; files that are whole stay where they are."""
    from hubman.civitai import queue as downloads

    if not ids and not ended:
        raise UsageError("queue rm needs an ID", "give one that hubman queue shows, or --ended")
    with open_registry() as registry:
        gone = [item.id for item in downloads.items(registry) if item.ended] if ended else []
        downloads.remove(registry, [*ids, *gone])


@queue.command("run")
@click.option("--detach", is_flag=True, help="Return at once.")
@output.json_option
def queue_run(detach: bool, as_json: bool) -> None:
    """Work the queue off, and watch it."""
    from hubman.civitai import queue as downloads

    with open_registry() as registry:
        waiting = [item for item in downloads.items(registry) if item.state in {"queued", "running"}]
        if detach:
            downloads.start(registry)
        elif waiting:
            waiting = watch(registry, waiting, quiet=as_json)
        results(waiting, as_json=as_json, detached=detach)


def _tell(items: list[PullItem], *states: str) -> None:
    count = sum(item.state in states for item in items)
    output.say(f"{count} {' or '.join(states)}")
