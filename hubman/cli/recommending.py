"""The command that tells and keeps what a strength sweep found: recommend."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import click
import msgspec

from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.generate.suggestion import Suggestion
from registry import library, scan
from registry.errors import UsageError

_COLUMNS = ("strength", "distance", "burn", "response", "kept", "variety", "style", "clip")


@click.command()
@click.argument("ref")
@click.option("--sweep", "sweep_id", help="Another sweep than the newest one of it, by its id.")
@click.option("--set", "is_set", is_flag=True, help="Keep it as the recommended strength, with its range and pictures.")
@output.json_option
def recommend(ref: str, sweep_id: str | None, is_set: bool, as_json: bool) -> None:
    """The strength that the newest sweep of the LoRA REF suggests, from where to where it works, and why.

    What you said of a strength yourself stays.
    """
    from hubman.generate import recommend as recommending
    from hubman.generate.curve import as_rows

    with open_registry() as registry:
        version = scan.hashed(registry, library.resolve(registry, ref)[1])
        found = recommending.found(registry, sweep_id or recommending.newest(registry, version))
        if found.version_id != version:
            raise UsageError(f"the sweep {found.sweep_id} is not of {ref}", "name its own LoRA, or leave --sweep out")
        kept = recommending.keep(registry, found.sweep_id) if is_set else None
    points, suggestion = as_rows(found.curve), found.suggestion
    if as_json:
        output.print_json(
            {
                "sweep_id": found.sweep_id,
                "curve": points,
                "burnt": [found.curve.is_burnt(number) for number in range(len(points))],
                "suggestion": msgspec.structs.asdict(suggestion),
                "kept": None if kept is None else msgspec.to_builtins(kept),
            }
        )
        return
    show_curve(points)
    output.say(suggestion.words())
    if kept is not None:
        own = f"; what you said stays: {', '.join(kept.own)}" if kept.own else ""
        output.say(f"kept, with {len(kept.pictures)} pictures{own}")
    else:
        say_next(ref, suggestion, found.curve.seeds)


def say_next(ref: str, suggestion: Suggestion, seeds: int) -> None:
    """How a suggested strength is kept, where it can be: that of a few seeds is refused."""
    from hubman.generate.curve import SEEDS

    if suggestion.strength is not None and seeds >= SEEDS:
        output.say(f"hubman recommend {shlex.quote(ref)} --set keeps it")


def show_curve(points: Sequence[Mapping[str, float | None]]) -> None:
    """A line for each strength, of what was measured."""
    shown = [name for name in _COLUMNS if any(point.get(name) is not None for point in points)]
    for point in points:
        output.say("  ".join(f"{name} {_number(point.get(name))}" for name in shown))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
