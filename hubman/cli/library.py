"""The commands that look at the library: roots, scan, ls, show."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from hubman import config
from hubman.cli import output
from hubman.cli.arguments import GivenPath, preset_option
from hubman.progress import Progress
from registry import library
from registry.database import Registry
from registry.errors import UsageError


def open_registry() -> Registry:
    return Registry(config.home())


@click.group()
def root() -> None:
    """The folders that are indexed, in place: hubman never moves or renames a file there unasked."""


@root.command("add")
@click.argument("folder", type=GivenPath())
@preset_option
@output.json_option
def root_add(folder: Path, preset: str | None, as_json: bool) -> None:
    """Index FOLDER, or the model folders of the program in it, from now on; then run ``hubman scan``."""
    from registry import roots, webuis

    with open_registry() as registry:
        if preset is None:
            root = roots.add(registry, folder)
            taken = [webuis.Taken(path=roots.absolute(folder), kind="any", stated="", root=root, is_new=True)]
        else:
            taken = webuis.take(registry, webuis.folders(preset.lower(), folder))
    if as_json:
        output.print_json(taken)
        return
    for one in taken:
        if one.is_new:
            output.say(f"added {one.root}{_about(one.kind, one.stated)}")
        else:
            output.say(f"{one.path}{_about(one.kind, one.stated)} is indexed already, in {one.root}")
    output.say("hubman scan indexes what is in there")


def _about(kind: str, stated: str) -> str:
    parts = [part for part in ("" if kind == "any" else kind, stated and f"from {stated}") if part]
    return f" ({', '.join(parts)})" if parts else ""


@root.command("find")
@output.json_option
def root_find(as_json: bool) -> None:
    """Look in the usual places for other programs' model folders. Adds none."""
    from registry import webui_search

    found = webui_search.find(Path.home())
    if as_json:
        output.print_json(found)
        return
    if not found:
        click.echo("none found: hubman root add DIR takes any folder", err=True)
    for one in found:
        output.say(f"{one.base}: hubman root add --preset {one.preset} {shlex.quote(str(one.base))}")
        for folder in one.folders:
            output.say(f"  {folder.path}{_about(folder.kind, folder.stated)}")


@root.command("rm")
@click.argument("folder", type=GivenPath())
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
@click.argument("folders", nargs=-1, type=GivenPath())
@click.option("--rehash", is_flag=True, help="Read every file again, changed or not.")
@click.option("--no-hash", is_flag=True, help="Only list what is there; the next scan hashes it.")
@output.json_option
def scan(folders: tuple[Path, ...], rehash: bool, no_hash: bool, as_json: bool) -> None:
    """Index new, changed, moved and missing files in FOLDERS, or in every root.

    Everything is listed first, by the headers of the files; then all of it is hashed. That waits while a job trains or
    draws, and can be stopped at any time: the next scan goes on.
    """
    from hubman.jobs.busy import may_hash
    from registry import roots
    from registry import scan as scanning

    if rehash and no_hash:
        raise UsageError("--rehash and --no-hash exclude each other", "give one of them")

    with open_registry() as registry, output.progress(quiet=as_json) as report:
        for folder in folders:
            roots.add(registry, folder)
        result = scanning.scan(
            registry,
            lambda stage, done, total: report(Progress(stage=stage, done=done, total=total, unit="files")),
            roots=folders or None,
            rehash=rehash,
            hashing=not no_hash,
            may_hash=may_hash(registry),
        )
    if as_json:
        output.print_json(result)
        return
    output.say(
        f"{result.new} new, {result.changed} changed, {result.moved} moved, {result.missing} missing, "
        f"{result.offline} offline, {result.damaged} damaged, {result.unchanged} unchanged"
        + (f", {result.unhashed} not hashed yet" if result.unhashed else "")
    )


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("query", nargs=-1, type=click.UNPROCESSED)
@output.json_option
def verify(query: tuple[str, ...], as_json: bool) -> int:
    """Read the files of the models that match QUERY, or every file, and tell which are no longer sound.

    Exit status 1 if any is not: bytes that changed by themselves, a file cut off, a header that makes no sense, numbers
    that are not finite, weights that are all zero. What was found stays with the file, until a later verify or scan
    finds it mended.
    """
    from registry import verify as verifying

    with open_registry() as registry, output.progress(quiet=as_json) as report:
        found = verifying.verify(
            registry,
            output.query_line(query),
            lambda done, total: report(
                Progress(stage="verifying", done=round(done / 1e6), total=round(total / 1e6), unit="MB")
            ),
        )
    if as_json:
        output.print_json(found)
    else:
        for finding in found.findings:
            output.say(f"{finding.path} {finding.problem}")
        for path in found.changed:
            output.say(f"{path} has changed or gone since the last scan: hubman scan looks at it")
        output.say(
            f"{found.sound - found.unopened} sound, {_unopened(found.unopened)}{len(found.findings)} not, "
            f"{len(found.changed)} changed, {found.absent} not here, "
            f"{output.size(found.size)} read"
        )
    return 1 if found.findings else 0


def _unopened(count: int) -> str:
    return f"{count} with the right hash (not opened), " if count else ""


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
                row.where,
            )
            for row in rows
        ],
        ("name", "base", "type", "rank", "rating", "flags", "id", "where"),
    )
