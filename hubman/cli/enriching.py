"""What Civitai knows of the library, and what is newer there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from hubman import config
from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.cli.site import sandbox_option, site_of
from registry import library

if TYPE_CHECKING:
    from hubman.civitai.enrich import Enriched
    from hubman.civitai.updates import Update
    from registry.database import Registry


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("query", nargs=-1, type=click.UNPROCESSED)
@click.option("--again", is_flag=True, help="Ask also about what was asked lately.")
@click.option("--previews", type=click.IntRange(0, 20), help="Pictures of each version that come along; 0 for none.")
@click.option("--archive-images", is_flag=True, help="Keep the examples of every version, also beside other pictures.")
@sandbox_option
@output.json_option
def enrich(
    query: tuple[str, ...],
    again: bool,
    previews: int | None,
    archive_images: bool,
    use_sandbox: bool,
    as_json: bool,
) -> None:
    """Ask Civitai about the files that QUERY finds, or about all; what you typed stays.

    What it knows nothing of is asked again after a day, a week, and then each month.
    """
    from hubman.civitai.enrich import enrich as enrich_models
    from hubman.civitai.session import connect
    from hubman.civitai.wanted import wanted

    line = output.query_line(query)
    with (
        open_registry() as registry,
        output.progress(quiet=as_json) as report,
        connect(config.home(), site_of(use_sandbox)) as client,
    ):
        models = library.model_ids(registry, line) if line else None
        pictures = wanted(config.home(), count=previews, archive=archive_images)
        result = enrich_models(registry, client, report=report, models=models, again=again, wanted=pictures)
    if as_json:
        output.print_json(result)
    else:
        output.say(_said(result))


def _said(result: Enriched) -> str:
    parts = [f"{result.found} found, {result.unknown} unknown to Civitai, {result.gone} gone from it"]
    if result.pictures:
        parts.append(f"{result.pictures} pictures came along")
    if result.unhashed:
        parts.append(f"{result.unhashed} not hashed yet: hubman scan hashes them")
    if result.waiting:
        parts.append(f"{result.waiting} wait for tomorrow's requests, or for --again")
    return "; ".join(parts)


@click.command()
@click.argument("refs", nargs=-1, metavar="[REF]...")
@click.option("--new", "only_new", is_flag=True, help="Only what --new has not listed before.")
@click.option(
    "--ignore", "ignore", multiple=True, metavar="REF[@VERSION]", help="Ignore a model's updates, or up to one."
)
@click.option("--unignore", "unignore", multiple=True, metavar="REF", help="Ignore nothing of a model any more.")
@click.option("--ignored", "list_ignored", is_flag=True, help="List what is ignored.")
@output.json_option
def updates(
    refs: tuple[str, ...],
    only_new: bool,
    ignore: tuple[str, ...],
    unignore: tuple[str, ...],
    list_ignored: bool,
    as_json: bool,
) -> None:
    """List newer versions of what is here, or of the models REF, and what those whom you follow published."""
    if ignore or unignore or list_ignored:
        with open_registry() as registry:
            _ignore(registry, ignore, unignore)
            _print_ignored(registry, as_json=as_json)
        return
    from hubman.civitai import updates as news
    from hubman.civitai.session import connect

    with (
        open_registry() as registry,
        output.progress(quiet=as_json) as report,
        connect(config.home()) as client,
    ):
        models = {library.resolve(registry, ref)[0] for ref in refs} or None
        found = news.updates(registry, client, models, report=report)
        if only_new:
            found = news.untold(registry, found)
            news.tell(registry, found)
        unknown = news.not_on_civitai(registry, models)
        count = len(models) if models else library.count(registry)
    if as_json:
        output.print_json(found)
        return
    if not found and len(unknown) < count:
        click.echo("nothing new" if only_new else "everything that Civitai knows is at its newest version", err=True)
    if unknown:
        click.echo(f"not known on Civitai: {output.clean(_some(unknown))}", err=True)
    output.table([_row(update) for update in found], ("name", "here", "newest", "base", "note", "pull"))


def _row(update: Update) -> tuple[str, ...]:
    return update.name, update.have, update.newest, update.base_model, _note(update), update.ref


def _note(update: Update) -> str:
    from hubman.civitai.updates import early_words

    why = {"newer": "", "followed model": "followed", "followed creator": f"by {update.creator}"}[update.why]
    return ", ".join(part for part in (why, early_words(update)) if part)


def _ignore(registry: Registry, ignore: Sequence[str], unignore: Sequence[str]) -> None:
    from hubman.civitai import follow, upstream_refs

    for ref in ignore:
        model, version = upstream_refs.model_and_version(registry, ref)
        follow.ignore(registry, model, version)
    for ref in unignore:
        follow.unignore(registry, upstream_refs.model_and_version(registry, ref)[0])


def _print_ignored(registry: Registry, *, as_json: bool) -> None:
    from hubman.civitai import follow, upstream_refs

    names = {one.number: upstream_refs.name_of(registry, one.number) for one in follow.ignored(registry)}
    if as_json:
        rows = [
            {"model": one.number, "name": names[one.number], "through": None if one.is_everything else one.through}
            for one in follow.ignored(registry)
        ]
        output.print_json(rows)
        return
    said = [
        (names[one.number], one.number, "everything" if one.is_everything else f"up to version {one.through}")
        for one in follow.ignored(registry)
    ]
    output.table(said, ("name", "model", "ignored"))


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
