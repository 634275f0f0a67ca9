"""``hubman remote migrate`` and ``upgrade``: what is done to a remote as a whole."""

from __future__ import annotations

import click

from hubman.cli import output
from hubman.cli.bucket_options import bucket_options
from hubman.cli.library import open_registry


@click.command("migrate")
@click.argument("name")
@click.argument("new_place")
@bucket_options
@output.json_option
def migrate(name: str, new_place: str, bucket: dict[str, str], as_json: bool) -> None:
    """Copy the remote NAME to the empty folder or bucket NEW_PLACE, every object verified, and use it there.

    Stopped anywhere, the same command goes on. What lies at the old place stays. The other machines are told when they
    sync, and follow with hubman remote add NAME NEW_PLACE.
    """
    from hubman.sync.care import moving

    with open_registry() as registry, output.progress(quiet=as_json) as report:
        copied = moving.migrate(registry, name, new_place, options=bucket, report=report)
    if as_json:
        output.print_json(copied)
        return
    output.say(
        f"{name} is at {new_place} now ({copied.objects} objects, {output.size(copied.bytes)} were copied); "
        f"on each other machine: hubman remote add {name} NEW_PLACE. The old place is as it was"
    )


@click.command("upgrade")
@click.argument("name")
@output.json_option
def upgrade(name: str, as_json: bool) -> None:
    """Make the remote NAME one of the newest format. Machines with an older hubman then have to update it."""
    from hubman.sync.care import upgrade as upgrading

    with open_registry() as registry:
        hub = upgrading.upgrade(registry, name)
    if as_json:
        output.print_json({"upgraded": hub is not None, "hub": hub})
    else:
        output.say(f"{name} is of format {hub.format} now" if hub else f"{name} is of the newest format already")
