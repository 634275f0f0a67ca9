"""``hubman remote gc``: remove from a remote what nobody speaks of any more."""

from __future__ import annotations

import click

from hubman.cli import output
from hubman.cli.library import open_registry


@click.command("gc")
@click.argument("name")
@click.option("--apply", is_flag=True, help="Do it. Without, it is only told what would be done.")
@output.json_option
def remote_gc(name: str, apply: bool, as_json: bool) -> None:
    """Find files and pictures on the remote NAME that no machine speaks of.

    They are written down first. After 30 days another run deletes those of which still nobody speaks, if every machine
    of the last 180 days has synced meanwhile. Others may sync at the same time.
    """
    from hubman.sync.care.gc import gc

    with open_registry() as registry, output.progress(quiet=as_json) as report:
        found = gc(registry, name, apply=apply, report=report)
    if as_json:
        output.print_json(found)
        return
    would = "" if apply else "would be "
    output.say(f"{output.count(found.deleted, 'blob')} ({output.size(found.deleted_bytes)}) {would}deleted")
    output.say(
        f"{output.count(found.marked, 'blob')} ({output.size(found.marked_bytes)}) {would}written down, to go in 30 days"
    )
    output.say(f"{output.count(found.waiting, 'blob')} written down and not due")
    if found.waits_for:
        output.say(f"waits for a sync of {', '.join(output.clean(one) for one in found.waits_for)}")
    if not apply and (found.deleted or found.marked):
        output.say(f"hubman remote gc {name} --apply does it")
