"""The commands that keep machines in step: sync, remote."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from hubman.cli import output, remote_key, remote_moving, sync_watch
from hubman.cli.bucket_options import bucket_options
from hubman.cli.library import open_registry
from hubman.cli.remote_gc import remote_gc
from hubman.cli.remote_url import remote_url

if TYPE_CHECKING:
    from hubman.sync.remote import Remote


@click.command()
@click.argument("name", required=False)
@click.option("--deep", is_flag=True, help="Believe nothing that was remembered: list every log, ask for every file.")
@click.option("--watch", is_flag=True, help="Stay, and sync when something was edited here or came from elsewhere.")
@click.option("--dry-run", is_flag=True, help="Only tell what waits both ways.")
@output.json_option
def sync(name: str | None, deep: bool, watch: bool, dry_run: bool, as_json: bool) -> None:
    """Bring the collection in step with the remote NAME, or with every remote.

    With --watch it ends at Ctrl-C; --json then prints one object a line.
    """
    from hubman.sync import remotes
    from hubman.sync.run import sync as sync_remote
    from registry.errors import NotFoundError, UsageError

    if dry_run and (watch or deep):
        raise UsageError("--dry-run moves nothing", "leave out the other option")
    if watch and deep:
        raise UsageError("--watch looks deep once a day by itself", "leave out one of the two")
    results = {}
    with open_registry() as registry, output.progress(quiet=as_json) as report:
        names = [name] if name else [remote.name for remote in remotes.all_remotes(registry)]
        if not names:
            raise NotFoundError("there is no remote yet", "hubman remote add NAME FOLDER")
        if dry_run:
            from hubman.cli import sync_pending

            sync_pending.tell(registry, names, as_json=as_json)
            return
        if watch:
            sync_watch.watch(registry, names, as_json=as_json)
            return
        for each in names:
            results[each] = sync_remote(registry, each, deep=deep, report=report)
    if as_json:
        output.print_json(results)
        return
    for each, result in results.items():
        for warning in result.warnings:
            click.echo(f"hubman: {each}: {output.clean(warning)}", err=True)
        output.say(f"{each}: {sync_watch.words(result)}")
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
    from hubman.sync.care import moving

    secrecy = remote_key.wished(encrypt=encrypt, sign=sign, key_file=key_file)
    with open_registry() as registry:
        if any(one.name == name for one in remotes.all_remotes(registry)):
            moving.follow(registry, name, location, options=bucket)
            output.say(f"{name} is at {location} now")
            return
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
remote.add_command(remote_moving.migrate)
remote.add_command(remote_moving.upgrade)
remote.add_command(remote_gc)


@remote.command("check")
@click.argument("name")
@click.argument("age", required=False, default="", metavar="")
@click.option(
    "--read-data",
    is_flag=False,
    flag_value="100%",
    metavar="[N%|older-than 30d]",
    help="Also read files there and compare every byte: those that were not for longest first.",
)
@click.option("--repair", is_flag=True, help="Mend what can be mended from here, and ask other machines for the rest.")
@output.json_option
@click.pass_context
def remote_check(ctx: click.Context, name: str, age: str, read_data: str | None, repair: bool, as_json: bool) -> None:
    """Look whether everything on the remote NAME is whole. Changes nothing, unless told to repair.

    Exit status 0 clean (after a repair: now), 1 something can be repaired, 2 data is missing everywhere.
    """
    from hubman.sync import check
    from hubman.sync.care import proofs

    if age and read_data is None:
        raise click.UsageError(f"Got unexpected extra argument ({age})")
    ask = None if read_data is None else proofs.parse(f"{read_data} {age}")
    with open_registry() as registry, output.progress(quiet=as_json) as report:
        if repair:
            result = check.check_and_repair(registry, name, read_data=ask, report=report)
        else:
            result = check.CheckResult(findings=check.check(registry, name, read_data=ask, report=report))
    if as_json:
        output.print_json(result)
    else:
        for line in (*map(str, result.findings), *result.done):
            output.say(output.clean(line))
        if not result.findings:
            output.say("clean")
        elif check.exit_status(result.findings) and not repair:
            output.say(f"hubman remote check {name} --repair does what stands in brackets")
    ctx.exit(check.exit_status(result.left if repair else result.findings))
