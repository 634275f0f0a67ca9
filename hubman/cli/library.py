"""The commands that organise: roots, scan, ls, show, edit, tag, trash, inspect."""

from __future__ import annotations

from pathlib import Path

import click

from hubman import config
from hubman.cli import output
from hubman.progress import Progress
from registry import library
from registry.database import Registry
from registry.errors import UsageError
from registry.records import ModelDetail, VersionRow


def open_registry() -> Registry:
    return Registry(config.home())


@click.group()
def root() -> None:
    """The folders that are indexed, in place: hubman never moves or renames a file there unasked."""


@root.command("add")
@click.argument("folder", type=click.Path(path_type=Path))
def root_add(folder: Path) -> None:
    """Index FOLDER from now on; then run ``hubman scan``."""
    from registry import roots

    with open_registry() as registry:
        output.say(f"added {roots.add(registry, folder)}; hubman scan indexes it")


@root.command("rm")
@click.argument("folder", type=click.Path(path_type=Path))
def root_rm(folder: Path) -> None:
    """Stop indexing FOLDER. Its files and what is known of them stay."""
    from registry import roots

    with open_registry() as registry:
        roots.remove(registry, folder)
    output.say(f"{folder} is no longer indexed")


@root.command("ls")
@output.json_option
def root_ls(as_json: bool) -> None:
    """List the indexed folders."""
    from registry import roots

    with open_registry() as registry:
        found = roots.all_roots(registry)
    if as_json:
        output.print_json([str(path) for path in found])
    else:
        for path in found:
            output.say(str(path))


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--rehash", is_flag=True, help="Read every file again, changed or not.")
@output.json_option
def scan(folders: tuple[Path, ...], rehash: bool, as_json: bool) -> None:
    """Index new, changed, moved and missing files in FOLDERS, or in every root."""
    from registry import roots
    from registry import scan as scanning

    with open_registry() as registry, output.progress(quiet=as_json) as report:
        for folder in folders:
            roots.add(registry, folder)
        result = scanning.scan(
            registry,
            lambda stage, done, total: report(Progress(stage=stage, done=done, total=total, unit="files")),
            roots=folders or None,
            rehash=rehash,
        )
    if as_json:
        output.print_json(result)
        return
    output.say(
        f"{result.new} new, {result.changed} changed, {result.moved} moved, {result.missing} missing, "
        f"{result.damaged} damaged, {result.unchanged} unchanged"
    )


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("query", nargs=-1, type=click.UNPROCESSED)
@output.json_option
def ls(query: tuple[str, ...], as_json: bool) -> None:
    """List the models that match QUERY, such as ``base:sdxl tag:ink rating:>=4 -nsfw sort:added``.

    Quote a QUERY that has quotes in it as a whole: ``hubman ls 'trigger:"red hair"'``.
    """
    with open_registry() as registry:
        rows = library.list_models(registry, output.query_line(query))
    if as_json:
        output.print_json(rows)
        return
    if not rows:
        click.echo("no models" + (" match" if query else " yet: hubman root add DIR, then hubman scan"), err=True)
    output.table(
        [
            (
                row.name,
                row.base_model or "?",
                row.network_type or row.kind,
                row.rank,
                "★" * row.rating,
                row.flags,
                row.id[:8],
            )
            for row in rows
        ],
        ("name", "base", "type", "rank", "rating", "flags", "id"),
    )


@click.command()
@click.argument("ref")
@output.json_option
def show(ref: str, as_json: bool) -> None:
    """Everything known of the model REF: an id, a name, an alias, a hash or a path."""
    with open_registry() as registry:
        model = library.show(registry, library.resolve(registry, ref)[0])
    if as_json:
        output.print_json(model)
    else:
        _print_model(model)


def _print_model(model: ModelDetail) -> None:
    facts: list[tuple[str, object]] = [
        ("name", model.name), ("kind", model.kind), ("creator", model.creator), ("alias", model.alias), ("tags", ", ".join(model.tags)),
        ("rating", "★" * model.rating), ("origin", model.origin), ("civitai", model.civitai_id), ("notes", model.notes), ("id", model.id),
    ]  # fmt: skip
    for name, value in facts:
        if value:
            output.say(f"{name:<10} {value}")
    for version in model.versions:
        _print_version(version)


def _print_version(version: VersionRow) -> None:
    output.say(
        f"version    {version.name or version.id[:8]}: {version.base_model or 'unknown base'}, {version.network_type}, rank {version.rank}"
    )
    if version.trigger_words:
        output.say(f"  triggers {', '.join(version.trigger_words)}")
    if version.strength is not None:
        output.say(f"  strength {version.strength:g}")
    if version.published_url:
        output.say(f"  page     {version.published_url}")
    for file in version.files:
        output.say(f"  file     {file.name}  {output.size(file.size)}  sha256 {file.sha256[:12]}")
        for place in file.places:
            output.say(f"           {place.path} ({place.problem or place.state})")


@click.command()
@click.argument("ref")
@click.argument("assignments", nargs=-1, required=True, metavar="FIELD=VALUE...")
def edit(ref: str, assignments: tuple[str, ...]) -> None:
    """Change fields of the model REF, such as ``rating=5 notes="for client A"``. An empty value takes an edit back."""
    pairs = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} is not FIELD=VALUE", "write for example rating=4")
        pairs[name.strip()] = value
    with open_registry() as registry:
        model, version = library.resolve(registry, ref)
        library.edit(registry, model, version, pairs)
    output.say(f"saved {', '.join(pairs)}")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("ref")
@click.argument("tags", nargs=-1, required=True, metavar="[+TAG|-TAG]...", type=click.UNPROCESSED)
def tag(ref: str, tags: tuple[str, ...]) -> None:
    """Add (``+ink`` or ``ink``) and remove (``-ink``) tags of the model REF."""
    with open_registry() as registry:
        model, _ = library.resolve(registry, ref)
        add = [text.removeprefix("+").strip().lower() for text in tags if not text.startswith("-")]
        remove = [text[1:].strip().lower() for text in tags if text.startswith("-")]
        if "" in add + remove:
            raise UsageError("an empty tag is no tag")
        library.update_set(registry, model, "tags", add=add, remove=remove)
        output.say(f"tags: {', '.join(library.show(registry, model).tags) or 'none'}")


@click.command()
@click.argument("ref")
def trash(ref: str) -> None:
    """Hide the model REF from lists on every machine; its files are not touched."""
    with open_registry() as registry:
        model, _ = library.resolve(registry, ref)
        library.trash(registry, model)
    output.say(f"{ref} is in the trash; hubman restore {ref} takes it out")


@click.command()
@click.argument("ref")
def restore(ref: str) -> None:
    """Take the model REF out of the trash."""
    with open_registry() as registry:
        model, _ = library.resolve(registry, ref)
        library.restore(registry, model)
    output.say(f"{ref} is back")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@output.json_option
def inspect(file: Path, as_json: bool) -> None:
    """What a model FILE says of itself: architecture, type, rank, hashes, metadata. Needs no registry."""
    from registry.inspection import inspect as look

    found = look(file)
    if as_json:
        output.print_json(found)
        return
    for name, value in found.items():
        if isinstance(value, dict):
            output.say(f"{name}:")
            for key, text in value.items():
                output.say(f"  {key}: {str(text)[:200]}")
        elif value not in (None, "", [], ()):
            output.say(f"{name}: {', '.join(map(str, value)) if isinstance(value, list | tuple) else value}")
