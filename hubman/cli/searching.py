"""Finding models on Civitai."""

from __future__ import annotations

import click

from hubman import config
from hubman.cli import output
from hubman.cli.site import sandbox_option, site_of


@click.command()
@click.argument("text", nargs=-1, required=True)
@click.option("--type", "types", multiple=True, default=("LORA", "LoCon", "DoRA"), help="Model type; may be repeated.")
@click.option("--limit", default=20, type=click.IntRange(1, 100), help="How many models.")
@sandbox_option
@output.json_option
def search(text: tuple[str, ...], types: tuple[str, ...], limit: int, use_sandbox: bool, as_json: bool) -> None:
    """Find models on Civitai by name and tags."""
    from hubman.civitai.session import connect

    with connect(config.home(), site_of(use_sandbox)) as client:
        found = list(client.search_all(" ".join(text), types=types, limit=limit))
    if as_json:
        output.print_json(found)
        return
    if not found:
        click.echo("nothing found", err=True)
    output.table(
        [(m.name, m.type, m.versions[0].base_model if m.versions else "", m.creator, m.id) for m in found],
        ("name", "type", "base", "creator", "id"),
    )
