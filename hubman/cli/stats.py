"""What Civitai counts of what one published."""

from __future__ import annotations

import click

from hubman import config
from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.cli.site import sandbox_option, site_of
from registry import library


@click.command()
@click.argument("refs", metavar="[REF...]", nargs=-1)
@sandbox_option
@output.json_option
def stats(refs: tuple[str, ...], use_sandbox: bool, as_json: bool) -> None:
    """Downloads, ratings and comments of what you published: all of it, or only REF. `show` tells them again later."""
    from hubman.civitai import stats as counting
    from hubman.civitai.session import connect

    with open_registry() as registry, connect(config.home(), site_of(use_sandbox)) as client:
        models = [library.show(registry, library.resolve(registry, ref)[0]) for ref in refs]
        versions = [version.id for model in models for version in model.versions]
        found = counting.pull(registry, client, versions)
    if as_json:
        output.print_json(found)
        return
    if not found:
        output.say("nothing of it was published from here")
        return
    rows = [
        (one.model, one.name, _shown(one.downloads), _shown(one.liked), _shown(one.disliked), _shown(one.comments))
        for one in found
    ]
    output.table(rows, ("model", "version", "downloads", "liked", "disliked", "comments"))


def _shown(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
