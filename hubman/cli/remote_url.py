"""``hubman remote url``: fetch a model on a machine that has no hubman."""

from __future__ import annotations

import click

from hubman.cli import output
from hubman.cli.library import open_registry


@click.command("url")
@click.argument("name")
@click.argument("model")
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1, 168), help="How long they are good.")
@output.json_option
def remote_url(name: str, model: str, hours: int, as_json: bool) -> None:
    """Print shell lines that fetch MODEL from the bucket NAME with curl: parts in order, joined, and checked.

    They need no key and no hubman, so that a rented machine can run them: hubman remote url NAME MODEL | ssh gpu sh
    """
    from hubman.sync.storages.links import links, script
    from registry import library

    with open_registry() as registry:
        _, version = library.resolve(registry, model)
        found = links(registry, name, version, hours * 3600)
    if as_json:
        output.print_json(found)
        return
    for link in found:
        for line in script(link).splitlines():
            output.say(line)
    click.echo(f"hubman: whoever has these addresses can read the file for {hours} hours", err=True)
