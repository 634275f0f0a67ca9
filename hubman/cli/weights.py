"""Which weights lie on this machine: fetch, drop, pin, unpin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.progress import Report
from registry.database import Registry
from registry.errors import HubError, UsageError

_models = click.argument("refs", metavar="MODEL...", nargs=-1, required=True)
_remote = click.option("--remote", default="", help="The remote; by default whichever has it.")
_device = click.option("--device", "device_ref", default="", help="Another machine; it fetches at its next sync.")


@click.command()
@_models
@_remote
@output.json_option
def fetch(refs: tuple[str, ...], remote: str, as_json: bool) -> int:
    """Bring the weights of each MODEL here now, whatever this machine's policy says. Stopped, the next call goes on."""
    from registry import library

    with open_registry() as registry, output.progress(quiet=as_json) as report:
        versions = [library.resolve(registry, ref)[1] for ref in refs]
        return _fetch(registry, versions, remote, report, as_json=as_json)


def _fetch(registry: Registry, versions: Sequence[str], remote: str, report: Report, *, as_json: bool) -> int:
    """Exit status 1 if one of them can't be had; the others come all the same."""
    from hubman.sync.policies.fetching import fetch as fetch_version
    from registry.errors import CancelledError

    found: list[Any] = []
    failed = 0
    for version in versions:
        try:
            result = fetch_version(registry, version, remote=remote, report=report)
        except CancelledError:
            raise
        except HubError as error:
            failed = 1
            click.echo(output.clean(f"hubman: {error}"), err=True)
            continue
        found.append(result)
        if not as_json:
            what = (
                f"{result.name} is here now ({output.size(result.bytes)})" if result.files else f"{result.name} is here"
            )
            output.say(f"{what}: {', '.join(result.paths)}")
    if as_json:
        output.print_json(found)
    return failed


@click.command()
@_models
@_remote
@click.option("--yes", is_flag=True, help="Also what is large and was not read whole on the remote for 90 days.")
@output.json_option
def drop(refs: tuple[str, ...], remote: str, yes: bool, as_json: bool) -> int:
    """Delete the files of each MODEL on this machine, where a remote has all of them. What is known of it stays.

    Nothing goes whose last copy it would be: the remote is asked right before. No policy brings it back by itself;
    hubman fetch does.
    """
    from hubman.sync.policies.policy import pinned
    from hubman.sync.policies.removing import drop as drop_versions
    from registry import clock, library

    with open_registry() as registry, output.progress(quiet=as_json) as report:
        kept = pinned(registry.db, clock.device_id(registry.db))
        versions: list[str] = []
        for ref in refs:
            model = library.show(registry, library.resolve(registry, ref)[0])
            if kept & {version.id for version in model.versions}:
                raise UsageError(f"{model.name} is pinned here", f"hubman unpin {ref} first")
            versions += [version.id for version in model.versions]
        result = drop_versions(registry, versions, remote=remote, report=report, agree=_asking(yes=yes))
    if as_json:
        output.print_json(result)
    else:
        for problem in result.problems:
            click.echo(output.clean(f"hubman: {problem}"), err=True)
        output.say(f"{output.count(result.files, 'file')} deleted here, {output.size(result.bytes)} freed")
    return 1 if result.problems else 0


def _asking(*, yes: bool) -> Callable[[str], bool]:
    """Where nobody can be asked, what is doubtful stays."""

    def agree(question: str) -> bool:
        try:
            return output.agreed(question, yes=yes)
        except UsageError:
            return False

    return agree


@click.command()
@_models
@_device
@click.option("--no-fetch", is_flag=True, help="Leave fetching to the next sync.")
@output.json_option
def pin(refs: tuple[str, ...], device_ref: str, no_fetch: bool, as_json: bool) -> int:
    """Keep the weights of each MODEL on this machine: fetch them now, and let no limit take them away."""
    from hubman.sync.policies import policy
    from registry import library

    with open_registry() as registry, output.progress(quiet=as_json) as report:
        device = _device_id(registry, device_ref)
        versions = [library.resolve(registry, ref)[1] for ref in refs]
        for version in versions:
            policy.pin(registry, version, device)
        if device or no_fetch:
            _say_pins(versions, "pinned", as_json=as_json)
            return 0
        return _fetch(registry, versions, "", report, as_json=as_json)


@click.command()
@_models
@_device
@output.json_option
def unpin(refs: tuple[str, ...], device_ref: str, as_json: bool) -> None:
    """Pin each MODEL no longer, whichever of its versions was. Its files stay until their room is needed."""
    from hubman.sync.policies import policy
    from registry import library

    with open_registry() as registry:
        device = _device_id(registry, device_ref)
        models = [library.show(registry, library.resolve(registry, ref)[0]) for ref in refs]
        versions = [version.id for model in models for version in model.versions]
        for version in versions:
            policy.unpin(registry, version, device)
    _say_pins(versions, "not pinned", as_json=as_json)


def _device_id(registry: Registry, ref: str) -> str:
    """Empty for this machine."""
    from hubman.sync.care import devices

    found = devices.find(registry, ref) if ref else None
    return found.id if found is not None and not found.is_this else ""


def _say_pins(versions: Sequence[str], what: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"versions": versions})
    else:
        output.say(f"{output.count(len(versions), 'version')} {'is' if len(versions) == 1 else 'are'} {what}")
