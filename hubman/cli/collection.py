"""``hubman collection``: named, nested lists of models."""

from __future__ import annotations

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from registry import collecting, library
from registry.database import Registry
from registry.errors import UsageError


@click.group()
def collection() -> None:
    """Lists of models, one in another: ``Clients/A``. A model may be in many; removing one leaves its models alone."""


@collection.command("new")
@click.argument("path")
def new(path: str) -> None:
    """Make the collection PATH, and those above it."""
    with open_registry() as registry:
        collecting.create(registry, path)
    output.say(f"made {path}")


@collection.command("add")
@click.argument("path")
@click.argument("refs", nargs=-1, metavar="[REF]...")
@click.option("--query", help="Add all models that this query finds.")
def add(path: str, refs: tuple[str, ...], query: str | None) -> None:
    """Put models into the collection PATH."""
    with open_registry() as registry:
        entry = collecting.put(registry, path, _models(registry, refs, query))
    output.say(entry.label if entry else "they are in it already")


@collection.command("rm")
@click.argument("path")
@click.argument("refs", nargs=-1, metavar="[REF]...")
@click.option("--query", help="Take out all models that this query finds.")
@click.option("--yes", is_flag=True, help="Remove the collection without asking.")
@click.option("--dry-run", is_flag=True, help="Show which collections would be removed, and remove none.")
def remove(path: str, refs: tuple[str, ...], query: str | None, yes: bool, dry_run: bool) -> None:
    """Take models out of the collection PATH; without models remove the collection and those in it. The models stay."""
    with open_registry() as registry:
        if refs or query is not None:
            entry = collecting.take_out(registry, path, _models(registry, refs, query))
            output.say(entry.label if entry else "none of them is in it")
            return
        gone = collecting.below(registry, path)
        for one in gone:
            output.say(f"remove {one}")
        if not dry_run and output.agreed(f"Remove {len(gone)} collections? Their models stay.", yes=yes):
            collecting.remove(registry, path)
            output.say("removed; hubman undo brings back")


@collection.command("rename")
@click.argument("path")
@click.argument("name")
def rename(path: str, name: str) -> None:
    """Give the collection PATH another NAME."""
    with open_registry() as registry:
        entry = collecting.rename(registry, path, name)
    output.say(entry.label if entry else "it is called so already")


@collection.command("move")
@click.argument("path")
@click.argument("into", metavar="INTO")
def move(path: str, into: str) -> None:
    """Move the collection PATH, with all in it, into the collection INTO, or with ``/`` to the top."""
    with open_registry() as registry:
        entry = collecting.move(registry, path, into)
    output.say(entry.label if entry else "it is there already")


@collection.command("ls")
@output.json_option
def ls(as_json: bool) -> None:
    """List the collections with how many models are in each, and in each with those below it."""
    with open_registry() as registry:
        found = collecting.listed(registry)
    if as_json:
        output.print_json(found)
        return
    output.table([(one.path, one.models, one.total) for one in found], ("collection", "models", "with those below"))


@collection.command("show")
@click.argument("path")
@output.json_option
def show(path: str, as_json: bool) -> None:
    """List the models in the collection PATH and below it."""
    with open_registry() as registry:
        rows = library.model_rows(registry, collecting.members(registry, path))
        where = {row.id: library.show(registry, row.id).collections for row in rows}
    if as_json:
        output.print_json([{"id": row.id, "name": row.name, "collections": where[row.id]} for row in rows])
        return
    output.table([(row.name, ", ".join(where[row.id]), row.id[:8]) for row in rows], ("name", "in", "id"))


def _models(registry: Registry, refs: tuple[str, ...], query: str | None) -> list[str]:
    if bool(refs) == (query is not None):
        raise UsageError("which models?", "name some, or give --query, not both")
    if query is not None:
        return library.model_ids(registry, query)
    return list(dict.fromkeys(library.resolve(registry, ref)[0] for ref in refs))
