"""The commands that keep machines in step: sync, remote."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from hubman.cli import output, remote_key
from hubman.cli.bucket_options import bucket_options
from hubman.cli.library import open_registry
from hubman.cli.remote_gc import remote_gc
from hubman.cli.remote_url import remote_url

if TYPE_CHECKING:
    from hubman.sync.remote import Remote


@click.command()
@click.argument("name", required=False)
@output.json_option
def sync(name: str | None, as_json: bool) -> None:
    """Bring the collection in step with the remote NAME, or with every remote."""
    from hubman.sync import remotes
    from hubman.sync.run import sync as sync_remote
    from registry.errors import NotFoundError

    results = {}
    with open_registry() as registry, output.progress(quiet=as_json) as report:
        names = [name] if name else [remote.name for remote in remotes.all_remotes(registry)]
        if not names:
            raise NotFoundError("there is no remote yet", "hubman remote add NAME FOLDER")
        for each in names:
            results[each] = sync_remote(registry, each, report=report)
    if as_json:
        output.print_json(results)
        return
    for each, result in results.items():
        for warning in result.warnings:
            click.echo(f"hubman: {each}: {output.clean(warning)}", err=True)
        output.say(
            f"{each}: sent {result.sent_changes} changes and {result.uploaded} files, "
            f"received {result.received_changes} changes and {result.downloaded} files"
        )
    races = sum(result.lost_races for result in results.values())
    if races:
        output.say(f"{races} edit{'s' if races > 1 else ''} lost a race: hubman conflicts")


@click.group()
def remote() -> None:
    """Where collections are synced through: a folder that every machine reaches."""


remote.add_command(remote_key.key)


@remote.command("add")
@click.argument("name")
@click.argument("location")
@bucket_options
@click.option(
    "--read-only", is_flag=True, help="Only ever read there: a library that others keep. Your edits stay here."
)
@click.option("--encrypt", is_flag=True, help="Encrypt everything on a new remote; its key is shown once, as words.")
@click.option("--sign", is_flag=True, help="Sign what is said on a new remote, so that nobody else can add to it.")
@remote_key.key_file_option
def remote_add(
    name: str,
    location: str,
    bucket: dict[str, str],
    read_only: bool,
    encrypt: bool,
    sign: bool,
    key_file: TextIO | None,
) -> None:
    """Call LOCATION (a folder, or an s3://, gs:// or az:// address with hubman[cloud]) NAME from now on.

    Keys are never given here: they come from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
    GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY) or from ~/.aws/credentials. A remote that is encrypted or
    signed asks for the words of its own key.
    """
    from hubman.sync import remotes

    secrecy = remote_key.wished(encrypt=encrypt, sign=sign, key_file=key_file)
    with open_registry() as registry:
        remotes.add(registry, name, location, options=bucket, read_only=read_only, secrecy=secrecy)
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
        rows = [(each.name, each.location, each.synced_at or "never", _place(each)) for each in found]
        output.table(rows, ("name", "location", "synced", "place"))


def _place(one: Remote) -> str:
    """What to know of the place that a remote lies in."""
    from hubman.sync.capabilities import lacks

    if one.is_read_only:
        return "only read"
    return ", ".join(lacks(one.capabilities, one.kind)) or "does all that helps"


remote.add_command(remote_url)
remote.add_command(remote_gc)


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
