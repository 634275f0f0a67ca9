"""The command about the machines that share the collection."""

from __future__ import annotations

import click

from hubman.cli import output
from hubman.cli.device_policy import policy
from hubman.cli.library import open_registry


@click.group()
def device() -> None:
    """The machines that share this collection; DEVICE is a name or id that ``hubman device ls`` shows."""


device.add_command(policy)


@device.command("ls")
@output.json_option
def device_ls(as_json: bool) -> None:
    """List the machines: when each was heard of, what it keeps, what lies there."""
    from hubman.sync.care import alerts, devices

    with open_registry() as registry:
        found = devices.all_devices(registry)
        told = alerts.alerts(registry)
    for alert in told:
        click.echo(output.clean(f"hubman: {alert.about}: {alert.message}"), err=True)
    if as_json:
        output.print_json(found)
        return
    output.table(
        [
            (
                f"{one.name}{' (forgotten)' if one.retired else ''}",
                one.id[:8],
                "this machine" if one.is_this else output.minute(one.last_seen) or "never",
                f"weights {one.policy.weights}, previews {one.policy.previews}",
                f"{one.models_here:,}",
                output.size(one.bytes_here),
                one.app_version,
            )
            for one in found
        ],
        ("device", "id", "last seen", "keeps", "models", "size", "hubman"),
    )


@device.command("forget")
@click.argument("ref", metavar="DEVICE")
@output.json_option
def device_forget(ref: str, as_json: bool) -> None:
    """Forget DEVICE: what it holds and pins counts no more and nothing waits for it. It comes back when it syncs again."""
    from hubman.sync.care import devices

    with open_registry() as registry:
        found = devices.find(registry, ref)
        devices.retire(registry, found.id)
        found = devices.find(registry, found.id)
    if as_json:
        output.print_json(found)
        return
    output.say(f"{found.name} is forgotten from the next sync on; it comes back by itself when it syncs again")


@device.command("rename")
@click.argument("ref", metavar="DEVICE")
@click.argument("name")
@output.json_option
def device_rename(ref: str, name: str, as_json: bool) -> None:
    """Call DEVICE by NAME, on every machine."""
    from hubman.sync.care import devices

    with open_registry() as registry:
        found = devices.find(registry, ref)
        devices.rename(registry, found.id, name)
        found = devices.find(registry, found.id)
    if as_json:
        output.print_json(found)
        return
    output.say(f"{found.id[:8]} is called {found.name}")


@device.command("release")
@click.argument("ref", metavar="DEVICE")
@output.json_option
def device_release(ref: str, as_json: bool) -> None:
    """Take the changes of DEVICE although its clock is more than a year ahead; later edits here still win over them."""
    from hubman.sync.care import devices

    with open_registry() as registry:
        known = devices.find(registry, ref)
        devices.release(registry, known.id)
    if as_json:
        output.print_json(known)
        return
    output.say(f"the next sync takes what {known.name} wrote; set that machine's clock before it writes more")
