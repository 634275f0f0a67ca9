"""``hubman dupes``: files that are there more than once."""

from __future__ import annotations

from typing import cast

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from registry import duplicates
from registry.duplicates import Duplicates, Kind, Resolution, Rule


@click.command()
@click.option(
    "--kind",
    type=click.Choice(duplicates.KINDS),
    help="content: the same bytes in several places; tensors: the same weights under other headers; superseded: older "
    "versions of a model. All are listed without it, only content is resolved.",
)
@click.option("--query", default="", help="Only sets with a model that this query finds.")
@click.option(
    "--resolve", type=click.Choice(duplicates.RULES), help="Keep one file of each set, move the others into the trash."
)
@click.option("--yes", is_flag=True, help="Move without asking.")
@click.option("--dry-run", is_flag=True, help="Show what would be moved, and move nothing.")
@output.json_option
def dupes(kind: str | None, query: str, resolve: str | None, yes: bool, dry_run: bool, as_json: bool) -> None:
    """List files that are there more than once, or keep one of each with ``--resolve``. One file of a set always stays."""
    with open_registry() as registry:
        if resolve is None:
            kinds = [cast("Kind", kind)] if kind else duplicates.KINDS
            found = [one for each in kinds for one in duplicates.find(registry, each, query)]
            output.print_json(found) if as_json else _print(found)
            return
        wanted = duplicates.find(registry, cast("Kind", kind or "content"), query)
        plan = duplicates.plan(wanted, cast("Rule", resolve))
        output.print_json(plan) if as_json else _print_plan(plan)
        count = sum(len(one.dropped) for one in plan if not one.problem)
        if dry_run or not count or not output.agreed(f"Move {count} files into the trash?", yes=yes):
            return
        entry = duplicates.resolve(registry, plan)
    if entry and not as_json:
        output.say(f"{entry.label}; hubman undo puts them back")


def _print(found: list[Duplicates]) -> None:
    output.table(
        [
            (copy.path, copy.name, output.size(copy.size), one.kind, number)
            for number, one in enumerate(found, 1)
            for copy in one.copies
        ],
        ("file", "model", "size", "kind", "set"),
    )


def _print_plan(plan: list[Resolution]) -> None:
    output.table(
        [
            (copy.path, "left alone" if one.problem else "keep" if copy is one.kept else "trash", one.problem, number)
            for number, one in enumerate(plan, 1)
            for copy in (one.kept, *one.dropped)
        ],
        ("file", "plan", "why", "set"),
    )
