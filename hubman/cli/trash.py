"""``hubman trash`` and ``restore``: models out of sight and back, with their files or without."""

from __future__ import annotations

import sys

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from registry import edits, library
from registry import trash as files
from registry.errors import NotFoundError, UsageError


class _Trash(click.Group):
    """``trash REF`` is ``trash put REF``: what is no command of the group is a model."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = ["put", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Trash)
def trash() -> None:
    """Put the model REF into the trash: ``hubman trash REF`` hides it, ``hubman trash REF --files`` also moves its files."""


@trash.command("put", hidden=True)
@click.argument("ref")
@click.option(
    "--files", "with_files", is_flag=True, help="Move its files here, with all beside them, into the trash too."
)
@click.option("--yes", is_flag=True, help="Move the files without asking.")
@click.option("--last-copy", default="", metavar="NAME", help="The model's name, where every copy of a file would go.")
@click.option("--dry-run", is_flag=True, help="Show what would be moved, and move nothing.")
@output.json_option
def put(ref: str, with_files: bool, yes: bool, last_copy: str, dry_run: bool, as_json: bool) -> None:
    """Hide the model REF from lists on every machine; its files are not touched unless ``--files`` is given."""
    with open_registry() as registry:
        model, _ = library.resolve(registry, ref)
        moved = files.files_of(registry, [model]) if with_files else []
        if as_json:
            output.print_json({"model": model, "files": moved})
        else:
            for path in moved:
                output.say(path)
        if dry_run or (moved and not output.agreed(f"Move {len(moved)} files into the trash?", yes=yes)):
            return
        for name in files.last_copies(registry, [model]) if with_files else ():
            _require_name(name, last_copy)
        if with_files:
            files.trash_files(registry, [model])
        else:
            edits.trash(registry, model)
    if not as_json:
        output.say(f"{ref} is in the trash; hubman restore {ref} takes it out")


def _require_name(name: str, typed: str) -> None:
    """Every copy of a file would go: that takes its model's name. Raises :class:`UsageError` for another, or none."""
    if not typed and sys.stdin.isatty():
        typed = click.prompt(f"These are all copies of {output.clean(name)}. Type its name to go on", err=True)
    if typed.strip() != name.strip():
        raise UsageError(f"these are all copies of {name}", "--last-copy with its name moves them all the same")


@trash.command("ls")
@output.json_option
def ls(as_json: bool) -> None:
    """List the files in the trash of this machine."""
    with open_registry() as registry:
        found = files.listed(registry)
    if as_json:
        output.print_json(found)
        return
    if not found:
        click.echo("no files are in the trash; hubman ls is:trash lists the models that are", err=True)
    output.table(
        [
            (
                one.original,
                one.name,
                output.size(one.size),
                one.at[:16].replace("T", " "),
                "" if one.is_there else "not there",
            )
            for one in found
        ],
        ("file", "model", "size", "since (UTC)", ""),
    )


@trash.command("purge")
@click.argument("refs", nargs=-1, metavar="[REF]...")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@output.json_option
def purge(refs: tuple[str, ...], yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete the files of the models REF, or all files in the trash, for ever. This can't be undone."""
    with open_registry() as registry:
        models = {library.resolve(registry, ref)[0] for ref in refs}
        found = [one for one in files.listed(registry) if not refs or one.model in models]
        if not found:
            raise NotFoundError("there are no such files in the trash", "hubman trash ls lists what is there")
        if as_json:
            output.print_json(found)
        else:
            for one in found:
                output.say(one.original)
        if dry_run or not output.agreed(f"Delete {len(found)} files for ever?", yes=yes):
            return
        freed = files.purge(registry, found)
    if not as_json:
        output.say(f"freed {output.size(freed)}")


@click.command()
@click.argument("ref")
def restore(ref: str) -> None:
    """Take the model REF out of the trash, and put its files back where they were."""
    with open_registry() as registry:
        model, _ = library.resolve(registry, ref)
        files.restore(registry, [model])
    output.say(f"{ref} is back")
