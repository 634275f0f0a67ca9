"""Finding models, creators and pictures on Civitai."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from hubman import config
from hubman.cli import output
from hubman.cli.search_options import given, search_options
from hubman.cli.site import sandbox_option, site_of

if TYPE_CHECKING:
    from hubman.civitai.client import Civitai
    from hubman.civitai.pages import Batch
    from hubman.civitai.records import RemoteModel
    from hubman.civitai.search import ModelSearch

_CONTEXT = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}


@click.command(context_settings=_CONTEXT)
@click.argument("line", nargs=-1, type=click.UNPROCESSED)
@search_options
@click.option("--limit", default=20, type=click.IntRange(1, 100_000), help="How many models; pages are followed.")
@click.option("--names", "list_names", is_flag=True, help="List the types, base models and orders there are.")
@sandbox_option
@output.json_option
def search(
    line: tuple[str, ...], limit: int, list_names: bool, use_sandbox: bool, as_json: bool, **options: Any
) -> None:
    """Find models on Civitai by LINE, such as: type:lora base:"SDXL 1.0" by:ann tag:ink sort:newest lighthouse.

    Every option is also a word of the line. The first column tells what is here already: a tick for the newest version,
    an arrow for an older one, a circle for one that is known here but lies on no drive of this machine.
    """
    from hubman.civitai.pages import batches
    from hubman.civitai.session import connect
    from registry.levels import name_of

    with connect(config.home(), site_of(use_sandbox)) as client:
        if list_names:
            _tell_names(client, as_json=as_json)
            return
        asked = _parsed(client, output.query_line(line), given(options), min(limit, 100))
        pages = client.pages(asked, ahead=limit > asked.limit)
        found = list(batches(pages, limit))
        models = [model for batch in found for model in batch.models][:limit]
        marks = _marks(client, models)
    if pages.has_more and len(models) < limit:
        click.echo(f"given up after {pages.asked} pages that held little of it: a narrower line finds more", err=True)
    if as_json:
        output.print_json(models)
        return
    output.table(
        [_row(model, marks) for model in models], ("", "name", "type", "base", "downloads", "creator", "to pull")
    )
    for remark in _remarks(found, shown=len(models), up_to=name_of(asked.sift.up_to)):
        click.echo(output.clean(remark), err=True)


def _parsed(client: Civitai, line: str, also: list[tuple[str, str]], page: int) -> ModelSearch:
    """The search; the site's lists are asked for only where the bundled ones lack a name."""
    from msgspec.structs import replace

    from hubman.civitai.search import MOST
    from hubman.civitai.search_line import UnknownNameInLineError, parse
    from hubman.civitai.search_names import UnknownNameError
    from hubman.civitai.sift import EVERY_LEVEL, Sift
    from registry.listing import LEVELS

    settings, _ = config.settings(config.home())
    up_to = LEVELS[settings.nsfw]
    try:
        asked = parse(line, up_to=up_to, also=also)
    except (UnknownNameInLineError, UnknownNameError):
        asked = parse(line, client.names(), up_to=up_to, also=also)
    # A page as long as what is wanted, unless some of it is going to be left out.
    return replace(asked, limit=page) if asked.limit == MOST and asked.sift == Sift(up_to=EVERY_LEVEL) else asked


def _marks(client: Civitai, models: list[RemoteModel]) -> dict[int, str]:
    from hubman.civitai.held import held
    from hubman.cli.library import open_registry

    with open_registry() as registry:
        return dict(held(registry, models, by_number=not client.is_rehearsal))


def _row(model: RemoteModel, marks: dict[int, str]) -> tuple[object, ...]:
    newest = model.versions[0] if model.versions else None
    downloads = model.stats.download_count
    return (
        mark(model, marks), model.name, model.type, newest.base_model if newest else "",
        "" if downloads is None else f"{downloads:,}", model.creator, f"model:{model.id}",
    )  # fmt: skip


def mark(model: RemoteModel, marks: dict[int, str]) -> str:
    """What the library has of a model, as one character."""
    states = [marks.get(version.id) for version in model.versions]
    if not any(states):
        return ""
    return "✔" if states[0] == "here" else "↑" if "here" in states else "○"


def _remarks(batches: list[Batch], *, shown: int, up_to: str) -> Iterable[str]:
    """What a person should know of the list that it does not show."""
    if not shown:
        yield "nothing found"
    above, others = sum(batch.above for batch in batches), sum(batch.others for batch in batches)
    if above:
        yield f"{above:,} above {up_to} left out: nsfw:xxx shows all"
    if others:
        yield f"{others:,} left out that the line rules out"
    if any(batch.looped for batch in batches):
        yield "the site led back to a page that was seen: there may be more than it tells"
    if stale := next((batch.as_of for batch in batches if batch.as_of), ""):
        yield f"the site did not answer: this is what it said at {stale}"


def _tell_names(client: Civitai, *, as_json: bool) -> None:
    from hubman.civitai.search_names import FLAGS, PERIODS, PERMISSIONS, SORTS, USES

    lists = client.enums()
    known = {
        "type": list(lists.model_types), "base": list(lists.base_models), "sort": list(SORTS), "period": list(PERIODS),
        "lic": [*USES, *PERMISSIONS], "is": list(FLAGS),
    }  # fmt: skip
    if as_json:
        output.print_json(known)
        return
    active = set(lists.active_base_models)
    output.table(
        [
            (f"{field}:", name, "no longer offered" if field == "base" and name not in active else "")
            for field, names in known.items()
            for name in names
        ],
        ("field", "value", ""),
    )


@click.command()
@click.argument("text", default="")
@click.option("--limit", default=20, type=click.IntRange(1, 10_000), help="How many creators; pages are followed.")
@sandbox_option
@output.json_option
def creators(text: str, limit: int, use_sandbox: bool, as_json: bool) -> None:
    """Find creators on Civitai whose name holds TEXT; ``hubman search by:NAME`` lists what one made."""
    from hubman.civitai.session import connect

    with connect(config.home(), site_of(use_sandbox)) as client:
        page = client.creators(text, limit=min(limit, 100))
        found, seen = list(page.items), {page.next_page}
        while len(found) < limit and page.next_page:
            page = client.creators(next_page=page.next_page)
            found += page.items
            if page.next_page in seen:
                break
            seen.add(page.next_page)
    found = found[:limit]
    if as_json:
        output.print_json(found)
        return
    if not found:
        click.echo("nobody found", err=True)
    output.table(
        [(one.username, "" if one.model_count is None else one.model_count) for one in found], ("name", "models")
    )


@click.command()
@click.argument("ref")
@click.option("--limit", default=10, type=click.IntRange(1, 200), help="How many pictures.")
@click.option("--with-prompt", is_flag=True, help="Only those that tell what they were drawn with.")
@sandbox_option
@output.json_option
def examples(ref: str, limit: int, with_prompt: bool, use_sandbox: bool, as_json: bool) -> None:
    """Show pictures on Civitai of what REF names (as for ``pull``), with prompts and settings."""
    from hubman.civitai import image_settings
    from hubman.civitai.example_images import of_ref
    from hubman.civitai.session import connect
    from registry.levels import name_of
    from registry.listing import LEVELS

    settings, _ = config.settings(config.home())
    with connect(config.home(), site_of(use_sandbox)) as client:
        found = of_ref(client, ref, up_to=LEVELS[settings.nsfw], limit=limit, with_prompt=with_prompt)
    if as_json:
        output.print_json(found.images)
        return
    for image in found.images:
        level = name_of(image.level) or "level unknown"
        output.say(f"{image.url}  {image.width}x{image.height} {level} by {image.username or 'unknown'}")
        told = [(name, image_settings.text(image.settings, name)) for name in ("prompt", "negative")]
        for name, value in [*told, *image_settings.facts(image.settings)]:
            if value:
                output.say(f"    {name}: {value}")
    if not found.images:
        click.echo("no picture found", err=True)
    if found.above:
        up_to = name_of(LEVELS[settings.nsfw])
        click.echo(f"{found.above:,} above {up_to} left out: HUBMAN_NSFW=xxx shows all", err=True)
