"""The commands that change what is said of models, of one or of all that a query finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from registry import edits, library
from registry.database import Registry
from registry.edits import Planned, Target
from registry.errors import UsageError


def _bulk_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--query", help="Change all models that this query finds, instead of one REF."),
        click.option("--yes", is_flag=True, help="Carry the plan of a query out without asking."),
        click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing."),
    ):
        command = option(command)
    return output.json_option(command)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[REF] FIELD=VALUE...")
@_bulk_options
def edit(words: tuple[str, ...], query: str | None, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Change fields of the model REF, or of all that ``--query`` finds, such as ``rating=5 notes="for client A"``.

    An empty value takes an edit back. ``nsfw_level`` is pg, pg13, r, x or xxx. Fields of versions are changed of the
    newest one. Changes to what a query finds are shown first.
    """
    with open_registry() as registry:
        targets, rest = _targets(registry, words, query)
        pairs = dict(_assignment(text) for text in rest)
        if not pairs:
            raise UsageError("nothing to change", "write for example rating=4 after the model")
        plan = edits.plan_edit(registry, targets, pairs)
        if not _carry_out(plan, query, yes=yes, dry_run=dry_run, as_json=as_json):
            return
        edits.edit_all(registry, targets, pairs)
    if not as_json:
        output.say(f"saved {', '.join(pairs)}" + (f" of {len({one.model for one in plan})} models" if query else ""))


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("words", nargs=-1, required=True, metavar="[REF] [+TAG|-TAG]...", type=click.UNPROCESSED)
@_bulk_options
def tag(words: tuple[str, ...], query: str | None, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Add (``+ink`` or ``ink``) and remove (``-ink``) tags of the model REF, or of all that ``--query`` finds."""
    with open_registry() as registry:
        targets, rest = _targets(registry, words, query)
        models = [model for model, _ in targets]
        add = [text.removeprefix("+").strip().lower() for text in rest if not text.startswith("-")]
        remove = [text[1:].strip().lower() for text in rest if text.startswith("-")]
        if not rest or "" in add + remove:
            raise UsageError("an empty tag is no tag", "write for example +ink")
        plan = edits.plan_tags(registry, models, add=add, remove=remove)
        if not _carry_out(plan, query, yes=yes, dry_run=dry_run, as_json=as_json):
            return
        edits.tag(registry, models, add=add, remove=remove)
        if not query and not as_json:
            output.say(f"tags: {', '.join(library.show(registry, models[0]).tags) or 'none'}")
    if query and not as_json:
        output.say(f"saved tags of {len(plan)} models")


def _targets(registry: Registry, words: Sequence[str], query: str | None) -> tuple[list[Target], Sequence[str]]:
    """The models and versions that are meant, and the words that are left."""
    if query is not None:
        return edits.newest_of(registry, library.model_ids(registry, query)), words
    return [library.resolve(registry, words[0])], words[1:]


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} is not FIELD=VALUE", "write for example rating=4")
    return name.strip(), value


def _carry_out(plan: list[Planned], query: str | None, *, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Show the plan where it is asked for, or needed, and say whether to go on."""
    if as_json:
        output.print_json(plan)
    elif query is not None or dry_run:
        output.table([(one.name, one.field, one.before, one.after) for one in plan], ("model", "field", "from", "to"))
    if dry_run or (query is not None and not plan):
        return False
    return query is None or output.agreed(f"Change {len({one.model for one in plan})} models?", yes=yes)
