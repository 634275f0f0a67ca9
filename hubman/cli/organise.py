"""``hubman organise``: folders and names by a template."""

from __future__ import annotations

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from registry import library
from registry import organise as organising


@click.command()
@click.option(
    "--template", required=True, help="Such as {base}/{creator}/{model}; one that ends in / leaves files their names."
)
@click.option("--query", default="", help="Only models that this query finds.")
@click.option("--yes", is_flag=True, help="Move without asking.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and move nothing.")
@output.json_option
def organise(template: str, query: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Move and rename files within their folders by what is known of them, with all that lies beside them.

    Fields: base, type, creator, model, version, tag, trigger, rank, yyyy, hash8, run, name. The plan is shown first; files
    with a conflict stay. ``hubman undo`` puts all back.
    """
    with open_registry() as registry:
        plan = organising.plan(registry, template, library.model_ids(registry, query))
        if as_json:
            output.print_json(plan)
        else:
            output.table([(line.source, line.target, line.conflict) for line in plan], ("from", "to", "conflict"))
        count = sum(not line.conflict for line in plan)
        if dry_run or not count or not output.agreed(f"Move {count} files?", yes=yes):
            return
        entry = organising.carry_out(registry, plan)
    if entry and not as_json:
        output.say(f"{entry.label}; hubman undo puts them back")
