"""The commands about queries as such: saved views and facets."""

from __future__ import annotations

import click
import msgspec

from hubman.cli import output
from hubman.cli.library import open_registry


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A named query line as ``view ls --json`` prints it."""

    name: str
    query: str
    built_in: bool


@click.group()
def view() -> None:
    """Query lines with a name: ``@NAME`` in a query stands for its line. Your own sync with the collection."""


@view.command("ls")
@output.json_option
def view_ls(as_json: bool) -> None:
    """List all views, the built-in ones first."""
    from registry import views
    from registry.query import BUILT_IN_VIEWS

    with open_registry() as registry:
        own = views.own(registry)
    found = [
        View(name=name, query=line, built_in=lines is BUILT_IN_VIEWS)
        for lines in (BUILT_IN_VIEWS, own)
        for name, line in lines.items()
        if lines is BUILT_IN_VIEWS or name not in BUILT_IN_VIEWS
    ]
    if as_json:
        output.print_json(found)
    else:
        output.table(
            [(f"@{one.name}", one.query, "built in" if one.built_in else "") for one in found], ("view", "query", "")
        )


@view.command("save", context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("name")
@click.argument("query", nargs=-1, required=True, type=click.UNPROCESSED)
def view_save(name: str, query: tuple[str, ...]) -> None:
    """Keep QUERY as the view NAME, instead of what it said before."""
    from registry import views

    with open_registry() as registry:
        known = views.save(registry, name, output.query_line(query))
    output.say(f"saved @{known}")


@view.command("rename")
@click.argument("old")
@click.argument("new")
def view_rename(old: str, new: str) -> None:
    """Give the view OLD the name NEW."""
    from registry import views

    with open_registry() as registry:
        known = views.rename(registry, old, new)
    output.say(f"it is @{known} now")


@view.command("rm")
@click.argument("name")
def view_rm(name: str) -> None:
    """Forget the view NAME; the models in it stay."""
    from registry import views

    with open_registry() as registry:
        known = views.remove(registry, name)
    output.say(f"removed @{known}")


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("query", nargs=-1, type=click.UNPROCESSED)
@output.json_option
def facets(query: tuple[str, ...], as_json: bool) -> None:
    """Count the models that match QUERY by base, type, tag, creator, folder and so on."""
    from registry import facets as counting

    with open_registry() as registry:
        found = counting.facets(registry, output.query_line(query))
    if as_json:
        output.print_json(
            {field: [{"value": value, "count": count} for value, count in found[field]] for field in found}
        )
    else:
        output.table(
            [(field, value, count) for field, values in found.items() for value, count in values],
            ("facet", "value", "models"),
        )
