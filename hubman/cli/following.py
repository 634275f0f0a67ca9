"""Following creators and models on Civitai: what is new of theirs shows in updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hubman import config
from hubman.cli import output
from hubman.cli.library import open_registry
from registry.database import Registry
from registry.errors import UsageError

if TYPE_CHECKING:
    from hubman.civitai.client import Civitai

_KIND = click.Choice(("creator", "model"))


@click.command()
@click.argument("kind", type=_KIND)
@click.argument("ref", metavar="NAME|REF")
@output.json_option
def follow(kind: str, ref: str, as_json: bool) -> None:
    """Follow a creator (a name, his page's address, or a model of his) or a model (its page's address, or one here)."""
    from hubman.civitai import follow as following_
    from hubman.civitai import upstream_refs

    with open_registry() as registry:
        if kind == "creator":
            one = following_.follow(registry, creator=upstream_refs.creator(registry, _site, ref))
        else:
            model = _model(registry, ref)
            name = upstream_refs.name_of(registry, model)
            one = following_.follow(registry, model=model, name="" if name == str(model) else name)
    if as_json:
        output.print_json(one)
    else:
        output.say(f"following {one.kind} {one.name} since {one.since[:10]}")


@click.command()
@click.argument("kind", type=_KIND)
@click.argument("ref", metavar="NAME|REF")
@output.json_option
def unfollow(kind: str, ref: str, as_json: bool) -> None:
    """Follow a creator or a model no longer."""
    from hubman.civitai import follow as following_
    from hubman.civitai import upstream_refs

    with open_registry() as registry:
        if kind == "creator":
            followed = {each.name.casefold() for each in following_.following(registry) if each.kind == "creator"}
            name = ref if ref.casefold() in followed else upstream_refs.creator(registry, _site, ref)
            one = following_.unfollow(registry, creator=name)
        else:
            one = following_.unfollow(registry, model=_model(registry, ref))
    if as_json:
        output.print_json(one)
    else:
        output.say(f"no longer following {one.kind} {one.name}")


@click.command()
@output.json_option
def following(as_json: bool) -> None:
    """List the creators and models that you follow."""
    from hubman.civitai.follow import following as followed

    with open_registry() as registry:
        found = followed(registry)
    if as_json:
        output.print_json(found)
        return
    output.table(
        [(one.kind, one.name, one.number or "", one.since[:10]) for one in found], ("kind", "name", "model", "since")
    )


def _site() -> Civitai:
    from hubman.civitai.session import connect

    return connect(config.home())


def _model(registry: Registry, ref: str) -> int:
    """Civitai's number of a model; asks the site only for what names a version, or a hash."""
    from hubman.civitai import upstream_refs
    from hubman.civitai.refs import parse_ref
    from registry.errors import NotFoundError

    try:
        return upstream_refs.model_and_version(registry, ref)[0]
    except (NotFoundError, UsageError):
        parsed = parse_ref(ref)
    if parsed.model_id:
        return parsed.model_id
    if not (parsed.hash or parsed.version_id):
        raise UsageError(f"{ref!r} names no model", "give a model here, or the address of a model's page")
    with _site() as client:
        return (client.by_hash(parsed.hash) if parsed.hash else client.model_version(parsed.version_id)).model_id
