"""``hubman organise`` and ``rename``: folders and names by a template, and one model's by hand."""

from __future__ import annotations

from pathlib import Path

import click

from hubman.cli import output
from hubman.cli.arguments import GivenPath
from hubman.cli.library import open_registry
from hubman.progress import Progress
from registry import library, renaming
from registry import organise as organising
from registry.organise import Line


@click.command()
@click.option(
    "--template", required=True, help="Such as {base}/{creator}/{model}; one that ends in / leaves files their names."
)
@click.option("--query", default="", help="Only models that this query finds.")
@click.option(
    "--into",
    type=GivenPath(),
    help="Move them into this indexed folder, also on another drive, instead of their own.",
)
@click.option("--yes", is_flag=True, help="Move without asking.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and move nothing.")
@output.json_option
def organise(template: str, query: str, into: Path | None, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Move and rename files within their folders by what is known of them, with all that lies beside them.

    Fields: base, type, creator, model, version, tag, trigger, rank, yyyy, hash8, run, name, original. The plan is shown first; files
    with a conflict stay. ``hubman undo`` puts all back.
    """
    with open_registry() as registry:
        plan = organising.plan(registry, template, library.model_ids(registry, query), into=into)
        _print(plan, as_json=as_json)
        count = sum(not line.conflict for line in plan)
        if dry_run or not count or not output.agreed(f"Move {count} files?", yes=yes):
            return
        with output.progress(quiet=as_json) as report:
            entry = organising.carry_out(
                registry,
                plan,
                lambda done, total: report(Progress(stage="moving", done=done, total=total, unit="files")),
            )
    if entry and not as_json:
        output.say(f"{entry.label}; hubman undo puts them back")


@click.command()
@click.argument("ref")
@click.argument("name")
@click.option("--files", "with_files", is_flag=True, help="Rename its files here too, with all beside them.")
@click.option("--yes", is_flag=True, help="Rename the files without asking.")
@click.option("--dry-run", is_flag=True, help="Show what would be renamed, and rename nothing.")
@output.json_option
def rename(ref: str, name: str, with_files: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Call the model REF NAME; with ``--files`` the files of the version that REF means are named so too."""
    with open_registry() as registry:
        model, version = library.resolve(registry, ref)
        plan = renaming.plan(registry, model, version, name) if with_files else []
        _print(plan, as_json=as_json)
        count = sum(not line.conflict for line in plan)
        if dry_run or (count and not output.agreed(f"Rename {count} files?", yes=yes)):
            return
        entry = renaming.rename(registry, model, name, plan)
    if not as_json:
        output.say(f"{entry.label}; hubman undo takes it back" if entry else "it was called so already")


def _print(plan: list[Line], *, as_json: bool) -> None:
    if as_json:
        output.print_json(plan)
    elif plan:
        output.table([(line.source, line.target, line.conflict) for line in plan], ("from", "to", "conflict"))
