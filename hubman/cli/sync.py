"""The commands that keep machines in step: sync, remote."""

from __future__ import annotations

import click

from hubman.cli import output
from hubman.cli.library import open_registry


@click.command()
@click.argument("name", required=False)
@click.option("--limit-rate", default="", help="Bytes a second at most each way, such as 5M.")
@click.option("--pause", is_flag=True, help="Let no file move until --resume, also those of a sync that runs now.")
@click.option("--resume", is_flag=True, help="Let files move again, and sync: they go on where they were.")
@output.json_option
def sync(name: str | None, limit_rate: str, pause: bool, resume: bool, as_json: bool) -> None:
    """Bring the collection in step with the remote NAME, or with every remote."""
    from hubman.rate import parse
    from hubman.sync import holding, remotes
    from hubman.sync.run import sync as sync_remote
    from registry.errors import NotFoundError

    if pause:
        _pause(as_json, is_alone=not (name or limit_rate or resume))
        return
    rate = parse(limit_rate) if limit_rate else 0
    results = {}
    with open_registry() as registry, output.progress(quiet=as_json) as report:
        names = [name] if name else [remote.name for remote in remotes.all_remotes(registry)]
        if not names:
            raise NotFoundError("there is no remote yet", "hubman remote add NAME FOLDER")
        if resume:
            holding.resume(registry)
        for each in names:
            results[each] = sync_remote(registry, each, report=report, limit_rate=rate)
    if as_json:
        output.print_json(results)
        return
    for each, result in results.items():
        for warning in [*result.warnings, *([result.held] if result.held else [])]:
            click.echo(f"hubman: {each}: {output.clean(warning)}", err=True)
        output.say(
            f"{each}: sent {result.sent_changes} changes and {result.uploaded} files, "
            f"received {result.received_changes} changes and {result.downloaded} files"
        )


def _pause(as_json: bool, *, is_alone: bool) -> None:
    from hubman.sync import holding
    from registry.errors import UsageError

    if not is_alone:
        raise UsageError("--pause pauses all there is, and does nothing else", "hubman sync --pause")
    with open_registry() as registry:
        holding.pause(registry)
    if as_json:
        output.print_json({"paused": True})
    else:
        output.say("files wait until hubman sync --resume; what people write still goes with each sync")


@click.group()
def remote() -> None:
    """Where collections are synced through: a folder that every machine reaches."""


@remote.command("add")
@click.argument("name")
@click.argument("location")
@click.option(
    "--read-only", is_flag=True, help="Only ever read there: a library that others keep. Your edits stay here."
)
def remote_add(name: str, location: str, read_only: bool) -> None:
    """Call LOCATION (a folder, or an s3:// address with hubman[cloud]) NAME from now on."""
    from hubman.sync import remotes

    with open_registry() as registry:
        remotes.add(registry, name, location, read_only=read_only)
    output.say(f"added {name}; hubman sync {name} syncs with it")


@remote.command("rm")
@click.argument("name")
def remote_rm(name: str) -> None:
    """Forget the remote NAME. Nothing on it is touched."""
    from hubman.sync import remotes

    with open_registry() as registry:
        remotes.remove(registry, name)
    output.say(f"{name} is forgotten; its data is still there")


@remote.command("ls")
@output.json_option
def remote_ls(as_json: bool) -> None:
    """List the remotes."""
    from hubman.sync import remotes

    with open_registry() as registry:
        found = remotes.all_remotes(registry)
    if as_json:
        output.print_json(found)
    else:
        output.table(
            [(each.name, each.location, each.synced_at or "never") for each in found], ("name", "location", "synced")
        )


@remote.command("check")
@click.argument("name")
@output.json_option
@click.pass_context
def remote_check(ctx: click.Context, name: str, as_json: bool) -> None:
    """Look whether everything on the remote NAME is whole. Changes nothing. Exit status 0 clean, 1 something is wrong."""
    from hubman.sync.run import check

    with open_registry() as registry:
        findings = check(registry, name)
    if as_json:
        output.print_json(findings)
    else:
        for finding in findings:
            output.say(str(finding))
        output.say(f"{len(findings)} findings" if findings else "clean")
    ctx.exit(1 if findings else 0)
