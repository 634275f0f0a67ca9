"""The command that looks at one file: every finding with what says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from hubman.cli import output
from hubman.cli.arguments import GivenPath


@click.command()
@click.argument("file", type=GivenPath())
@output.json_option
def inspect(file: Path, as_json: bool) -> None:
    """What a model FILE says of itself, and what says so: architecture, type, rank, training. Needs no registry."""
    from registry.inspection import inspect as look

    found = look(file)
    if as_json:
        output.print_json(found)
        return
    for name in ("file", "format", "size"):
        _row(name, found[name])
    for fact in found.get("facts", ()):
        _row(fact.name, f"{fact.value}{' (a guess)' if fact.is_guess else ''}", fact.reason)
    for name in _COUNTED:
        if counts := found.get(name):
            _row(name, ", ".join(f"{value} {count}" for value, count in counts.items()))
    for name in _PLAIN:
        if found.get(name):
            _row(name, found[name], found.get("reasons", {}).get(name, ""))
    if training := found.get("training"):
        output.say("training")
        for setting in training:
            _row(f"  {setting.name}", setting.value, setting.reason)
    _entries("metadata", found.get("metadata", {}))


_COUNTED = ("layers", "dtypes")
_PLAIN = ("modules", "tensors", "trainer", "sha256", "autov1", "autov2", "autov3", "blake3", "crc32")


def _row(name: str, value: object, reason: str = "") -> None:
    output.say(f"{name:<26} {value}{f'  [{reason}]' if reason else ''}")


def _entries(heading: str, entries: Mapping[str, str]) -> None:
    if entries:
        output.say(heading)
    for name, value in entries.items():
        output.say(f"  {name}: {value[:200]}")
