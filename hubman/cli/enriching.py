"""What Civitai knows of the library, and what is newer there."""

from __future__ import annotations

from collections.abc import Sequence

import click

from hubman import config
from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.cli.site import sandbox_option, site_of
from registry import library


@click.command()
@sandbox_option
@output.json_option
def enrich(use_sandbox: bool, as_json: bool) -> None:
    """Ask Civitai about every file that is here; what you typed stays."""
    from hubman.civitai.enrich import enrich as enrich_all
    from hubman.civitai.session import connect

    with (
        open_registry() as registry,
        output.progress(quiet=as_json) as report,
        connect(config.home(), site_of(use_sandbox)) as client,
    ):
        result = enrich_all(registry, client, report=report)
    if as_json:
        output.print_json(result)
    else:
        output.say(f"{result.found} found, {result.unknown} unknown to Civitai, {result.gone} gone from it")


@click.command()
@click.argument("refs", nargs=-1, metavar="[REF]...")
@output.json_option
def updates(refs: tuple[str, ...], as_json: bool) -> None:
    """List newer versions of what is here, or of the models REF."""
    from hubman.civitai.enrich import not_on_civitai
    from hubman.civitai.enrich import updates as find_updates
    from hubman.civitai.session import connect

    with open_registry() as registry, connect(config.home()) as client:
        models = {library.resolve(registry, ref)[0] for ref in refs}
        found = find_updates(registry, client, models or None)
        unknown = not_on_civitai(registry, models or None)
    if as_json:
        output.print_json(found)
        return
    if not found and len(unknown) < (len(models) or library.count(registry)):
        click.echo("everything that Civitai knows is at its newest version", err=True)
    if unknown:
        click.echo(f"not known on Civitai: {output.clean(_some(unknown))}", err=True)
    output.table(
        [(u.name, u.have, u.newest, u.base_model, u.ref) for u in found], ("name", "here", "newest", "base", "pull")
    )


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
