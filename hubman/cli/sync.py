"""The commands that keep machines in step: sync, remote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from hubman.cli import output, remote_key, remote_moving, sync_watch
from hubman.cli.bucket_options import bucket_options
from hubman.cli.library import open_registry
from hubman.cli.remote_gc import remote_gc
from hubman.cli.remote_url import remote_url

if TYPE_CHECKING:
    from hubman.sync.remote import Remote
    from hubman.sync.run import SyncResult
    from registry.database import Registry
    from registry.errors import HubError


_STAGES = {
    "look": "look for news", "receive": "read changes", "frozen": "", "upload": "send files", "send": "send changes",
    "announce": "", "announced": "", "download": "fetch files", "snapshot": "write a snapshot", "done": "",
    "list": "list the remote", "read": "read logs", "prove": "read files",
}  # fmt: skip
"""What the stages of a sync and a check are called; of those without a name there is nothing to see."""


@click.command()
@click.argument("name", required=False)
@click.option("--deep", is_flag=True, help="Believe nothing that was remembered: list every log, ask for every file.")
@click.option("--watch", is_flag=True, help="Stay, and sync when something was edited here or came from elsewhere.")
@click.option("--dry-run", is_flag=True, help="Only tell what waits both ways.")
@click.option("--limit-rate", default="", help="Bytes a second at most each way, such as 5M.")
@click.option("--pause", is_flag=True, help="Let no file move until --resume, also those of a sync that runs now.")
@click.option("--resume", is_flag=True, help="Let files move again, and sync: they go on where they were.")
@output.json_option
def sync(
    name: str | None,
    deep: bool,
    watch: bool,
    dry_run: bool,
    limit_rate: str,
    pause: bool,
    resume: bool,
    as_json: bool,
) -> int:
    """Bring the collection in step with the remote NAME, or with every remote.

    Of several remotes one that fails, such as a disk that is not plugged in, is told and the others are synced all the
    same; the exit status is 1 then. With --watch it ends at Ctrl-C; --json then prints one object a line.
    """
    from hubman.cli import sync_pending
    from hubman.rate import parse
    from hubman.sync import remotes
    from hubman.sync.transfer import holding
    from registry.errors import NotFoundError

    if pause:
        _pause(as_json, is_alone=not (name or deep or watch or dry_run or limit_rate or resume))
        return 0
    _check_choices(deep=deep, watch=watch, dry_run=dry_run, limit_rate=limit_rate)
    rate = parse(limit_rate) if limit_rate else 0
    with open_registry() as registry, output.progress(quiet=as_json or watch or dry_run, words=_STAGES) as report:
        names = [name] if name else [remote.name for remote in remotes.all_remotes(registry)]
        if not names:
            raise NotFoundError("there is no remote yet", "hubman remote add NAME FOLDER")
        if dry_run:
            return sync_pending.tell(registry, names, as_json=as_json)
        if resume:
            holding.resume(registry)
        if watch:
            sync_watch.watch(registry, names, as_json=as_json)
            return 0
        results, problems = _sync_each(registry, names, deep=deep, report=report, limit_rate=rate)
    _tell(results, problems, as_json=as_json)
    return 1 if problems else 0


def _sync_each(
    registry: Registry, names: Sequence[str], **options: Any
) -> tuple[dict[str, SyncResult], dict[str, HubError]]:
    """What a sync with each remote did, and why it failed with others. Raises what the only one raises."""
    from hubman.sync.lock import BusyError
    from hubman.sync.run import sync as sync_remote
    from registry.errors import CancelledError, HubError

    results: dict[str, SyncResult] = {}
    problems: dict[str, HubError] = {}
    for each in names:
        try:
            results[each] = sync_remote(registry, each, **options)
        except (BusyError, CancelledError):
            raise
        except HubError as error:
            if len(names) == 1:
                raise
            problems[each] = error
    return results, problems


def _tell(results: dict[str, SyncResult], problems: dict[str, HubError], *, as_json: bool) -> None:
    if as_json:
        output.print_json(
            {**results, **{each: {"remote": each, "problem": str(why)} for each, why in problems.items()}}
        )
        return
    for each, result in results.items():
        for warning in [*result.warnings, *([result.held] if result.held else [])]:
            click.echo(f"hubman: {each}: {output.clean(warning)}", err=True)
        output.say(f"{each}: {sync_watch.words(result)}")
    races = sum(result.lost_races for result in results.values())
    if races:
        output.say(f"{output.count(races, 'edit')} lost a race: hubman conflicts")
    for each, why in problems.items():
        click.echo(f"hubman: {each}: {output.clean(why)}", err=True)


def _check_choices(*, deep: bool, watch: bool, dry_run: bool, limit_rate: str) -> None:
    from registry.errors import UsageError

    if limit_rate and (watch or dry_run):
        raise UsageError("--limit-rate is for one sync", "hubman device policy has rates for all of them")
    if dry_run and (watch or deep):
        raise UsageError("--dry-run moves nothing", "leave out the other option")
    if watch and deep:
        raise UsageError("--watch looks deep once a day by itself", "leave out one of the two")


def _pause(as_json: bool, *, is_alone: bool) -> None:
    from hubman.sync.transfer import holding
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
    """Where collections are synced through: a folder or a bucket that every machine reaches."""


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
@output.json_option
def remote_add(
    name: str,
    location: str,
    bucket: dict[str, str],
    read_only: bool,
    encrypt: bool,
    sign: bool,
    key_file: TextIO | None,
    as_json: bool,
) -> None:
    """Call LOCATION (a folder, or an s3://, gs:// or az:// address with hubman[cloud]) NAME from now on.

    Keys are never given here: they come from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
    GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY) or from ~/.aws/credentials. A remote that is encrypted or
    signed asks for the words of its own key. An empty place becomes a new remote, one that is there is joined; NAME
    again with another LOCATION follows a remote that moved.
    """
    from hubman.sync import remotes
    from hubman.sync.care import moving
    from registry.errors import UsageError

    secrecy = remote_key.wished(encrypt=encrypt, sign=sign, key_file=key_file)
    with open_registry() as registry:
        is_known = any(one.name == name for one in remotes.all_remotes(registry))
        if is_known and (read_only or encrypt or sign or key_file):
            raise UsageError(
                f"{name} is there already, and where it lies is all that can be changed of it",
                "leave out the other options, or choose another name",
            )
        if is_known:
            moving.follow(registry, name, location, options=bucket)
            added = remotes.find(registry, name)
        else:
            added = remotes.add(registry, name, location, options=bucket, read_only=read_only, secrecy=secrecy)
    if as_json:
        output.print_json(added)
    elif is_known:
        output.say(f"{name} is at {location} now")
    else:
        what = "made a new remote" if added.is_new else "joined the remote that is there"
        output.say(f"added {name}, {what}; hubman sync {name} syncs with it")


@remote.command("rm")
@click.argument("name")
@output.json_option
def remote_rm(name: str, as_json: bool) -> None:
    """Forget the remote NAME. Nothing on it is touched."""
    from hubman.sync import remotes

    with open_registry() as registry:
        remotes.remove(registry, name)
    if as_json:
        output.print_json({"forgotten": name})
        return
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
        rows = [(each.name, each.location, output.minute(each.synced_at) or "never", _place(each)) for each in found]
        output.table(rows, ("name", "location", "synced", "place"))


def _place(one: Remote) -> str:
    """What to know of the place that a remote lies in."""
    from hubman.sync.storages.capabilities import lacks

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
    from hubman.sync.care import check, proofs

    if age and read_data is None:
        raise click.UsageError(f"Got unexpected extra argument ({age})")
    ask = None if read_data is None else proofs.parse(f"{read_data} {age}")
    with open_registry() as registry, output.progress(quiet=as_json, words=_STAGES) as report:
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
