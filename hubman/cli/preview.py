"""The commands about a model's pictures: list them, say the level of one."""

from __future__ import annotations

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from registry import edits, levels, library
from registry.errors import UsageError


@click.group()
def preview() -> None:
    """The pictures of a model and their levels."""


@preview.command("ls")
@click.argument("ref")
@output.json_option
def preview_ls(ref: str, as_json: bool) -> None:
    """List the pictures of the newest version of REF, in the order in which they are shown."""
    with open_registry() as registry:
        model, version_id = library.resolve(registry, ref)
        shown = library.version(registry, version_id).previews
        of_model = library.show(registry, model).nsfw_level
    if as_json:
        output.print_json(shown)
        return
    rows = [
        (
            number,
            levels.name_of(levels.effective(one.nsfw_level, of_model)) or "?",
            one.name,
            one.source,
            one.sha256[:12],
        )
        for number, one in enumerate(shown, 1)
    ]
    if not rows:
        click.echo("no pictures", err=True)
    output.table(rows, ("n", "level", "name", "source", "sha256"))


@preview.command("level")
@click.argument("ref")
@click.argument("number", type=int, metavar="N")
@click.argument("level", metavar="LEVEL")
def preview_level(ref: str, number: int, level: str) -> None:
    """Say that picture N of REF is pg, pg13, r, x or xxx, whatever Civitai says; ``none`` takes it back."""
    bit = None if level.lower() == "none" else levels.parse(level)
    with open_registry() as registry:
        version_id = library.resolve(registry, ref)[1]
        shown = library.version(registry, version_id).previews
        if not 1 <= number <= len(shown):
            raise UsageError(f"{ref} has {len(shown)} pictures", f"hubman preview ls {ref} shows their numbers")
        done = edits.set_picture_level(registry, version_id, shown[number - 1].sha256, bit)
    output.say(f"picture {number}: {level}" if done else "it was so already")
