"""``hubman device policy``: what a machine keeps, shown and set from any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from registry.errors import UsageError

if TYPE_CHECKING:
    from hubman.sync.policies.policy import Policy

_SIZES = ("limit", "rate_up", "rate_down")
_NONE = frozenset({"none", "no", "off", "0"})


@click.command("policy")
@click.argument("ref", metavar="[DEVICE]", required=False)
@click.option("--preset", help="Begin with workstation, laptop or rented.")
@click.option("--weights", help='all, pinned, none, or a query: "query:base:sdxl rating:>=4".')
@click.option("--previews", help="all, thumbs (small pictures for lists) or none.")
@click.option("--limit", help="How much weights may take here, such as 200GB; none for no limit.")
@click.option("--upload", help="yes or no: whether the weights of that machine go up.")
@click.option("--rate-up", help="Bytes a second at most, such as 5MB; none for no limit.")
@click.option("--rate-down", help="The same for what comes down.")
@click.option("--window", help="When files are moved, such as 01:00-07:00; always for any time.")
@output.json_option
def policy(ref: str | None, preset: str | None, as_json: bool, **given: str | None) -> None:
    """Show or set what DEVICE (by default this machine) keeps. It obeys from its next sync on.

    Pinned models (hubman pin) come with every policy but --weights none. Over the limit sync lets go of what it
    fetched and nobody pinned, the oldest use first, and only of what the remote has at that moment.
    """
    from hubman.sync.care import devices
    from hubman.sync.policies.policy import set_policy

    said = {name: value for name, value in given.items() if value is not None}
    with open_registry() as registry:
        known = devices.find(registry, ref) if ref else devices.all_devices(registry)[0]
        if said or preset:
            set_policy(registry, _policy(known.policy, preset, said), known.id)
            known = devices.find(registry, known.id)
    if as_json:
        output.print_json({"device": known.id, "name": known.name, "policy": known.policy})
        return
    for name, value in _shown(known.policy):
        output.say(f"{name:10} {value}")
    if said or preset:
        output.say(f"{known.name} obeys from its next sync on")


def _policy(before: Policy, preset: str | None, said: dict[str, str]) -> Policy:
    """Raises :class:`UsageError`."""
    import msgspec

    from hubman.sync.policies.policy import PRESETS

    if preset is not None and preset not in PRESETS:
        raise UsageError(f"there is no preset {preset}", f"use one of {', '.join(PRESETS)}")
    parts: dict[str, Any] = dict(said)
    for name in _SIZES:
        if name in said:
            parts[name] = _bytes(name, said[name])
    if said.get("window", "").strip().lower() in {"always", "none"}:
        parts["window"] = ""
    return msgspec.structs.replace(PRESETS[preset] if preset else before, **parts)


def _bytes(name: str, text: str) -> int | None:
    from registry.query_values import size

    if text.strip().lower() in _NONE:
        return None
    try:
        return int(size(text.strip()))
    except UsageError as error:
        raise UsageError(f"--{name.replace('_', '-')} can't be {text!r}", "for example 200GB, 5MB or none") from error


def _shown(known: Policy) -> list[tuple[str, str]]:
    def rate(count: int | None) -> str:
        return f"{output.size(count)}/s" if count else "no limit"

    return [
        ("weights", known.weights),
        ("previews", known.previews),
        ("limit", output.size(known.limit) if known.limit else "no limit"),
        ("upload", known.upload),
        ("rate", f"{rate(known.rate_up)} up, {rate(known.rate_down)} down"),
        ("window", known.window or "always"),
    ]
