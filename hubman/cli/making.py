"""The commands that draw grids: sweep, combine."""

from __future__ import annotations

from typing import Any

import click

from hubman.cli import output
from hubman.cli.drawing_options import asked, drawing_options
from hubman.cli.drawing_plan import agreed, plan_of, warn_of_drawn, warn_of_grid
from hubman.cli.library import open_registry
from hubman.cli.recommending import say_next, show_curve
from hubman.cli.work import run
from hubman.generate.suggestion import Suggestion
from registry import library, scan
from registry.errors import UsageError

_AXIS_HELP = "What varies, such as 'seed=1-4' or 'unet:ink=0-1 [5]'; may be repeated. `hubman grid axes` lists them."


def _grid_options(command: Any) -> Any:
    for option in reversed(
        (
            click.option("--axis", "axes", multiple=True, metavar="AXIS", help=_AXIS_HELP),
            click.option("--dry-run", is_flag=True, help="Only say how many cells it has and how long they take."),
            click.option("--yes", "-y", is_flag=True, help="Draw it, however long it takes."),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("ref")
@click.argument("prompt")
@click.option(
    "--strengths",
    default="0-1 (+0.25)",
    show_default=True,
    help="Values such as 0,0.5,1 or a range such as 0-1 (+0.1).",
)
@click.option(
    "--contrast", default="", help="A second prompt: then the curve tells how far the pictures still follow the first."
)
@drawing_options
@_grid_options
@output.json_option
@click.pass_context
def sweep(
    ctx: click.Context,
    /,
    ref: str,
    prompt: str,
    strengths: str,
    contrast: str,
    axes: tuple[str, ...],
    as_json: bool,
    **choices: Any,
) -> None:
    """Draw PROMPT with the LoRA REF at several strengths: a labelled grid, a curve, and a suggested strength.

    Four seeds unless --seed says which: single pictures tell little. hubman recommend keeps what it suggests. With --axis it is
    a grid of whatever varies, without a curve: the first axis across, the second down, others as pages.
    """
    from hubman.generate.axes import parse_floats
    from hubman.generate.sweep import DEFAULT_SEEDS

    request: dict[str, Any] = {"version_ids": _versions([ref]), "prompt": prompt}
    if axes:
        if contrast:
            raise UsageError(
                "a contrast prompt is for the curve, which a grid of axes has not", "leave one of them out"
            )
        given = ctx.get_parameter_source("strengths") is click.core.ParameterSource.COMMANDLINE
        first = [f"strength:#1={strengths}"] if given else []
        request |= {"axes": [*first, *axes]}
    else:
        request |= {"strengths": list(parse_floats(strengths)), "contrast": contrast}
        if not choices["seeds"] and choices["count"] == 1:
            choices["seeds"] = DEFAULT_SEEDS
    _draw([ref], request, as_json, choices)


@click.command()
@click.argument("refs", nargs=-1, required=True, metavar="A B [C…] PROMPT")
@click.option(
    "--as", "how", default="matrix", show_default=True,
    type=click.Choice(("matrix", "ratio", "pairs", "all-but-one", "subsets", "alone")),
    help="Every strength of each; shares of one total; or which of them are on.",
)  # fmt: skip
@click.option("--strengths", default="0,0.4,0.8", show_default=True, help="Of each of them, in a matrix.")
@click.option("--shares", default="0-1 [5]", show_default=True, help="The first one's parts of the total, in a ratio.")
@click.option("--total", type=float, help="Of both strengths in a ratio; by default the sum of those recommended.")
@drawing_options
@_grid_options
@output.json_option
def combine(
    refs: tuple[str, ...],
    how: str,
    strengths: str,
    shares: str,
    total: float | None,
    axes: tuple[str, ...],
    as_json: bool,
    **choices: Any,
) -> None:
    """Draw PROMPT with the LoRAs A and B, or more, together, as one labelled grid.

    A matrix of two has one across and the other down, a third has pages.
    """
    *loras, prompt = refs
    if len(loras) < 2:
        raise UsageError("a combination is of two LoRAs or more", "write hubman combine A B PROMPT")
    if how == "ratio" and len(loras) != 2:
        raise UsageError("a ratio is of two LoRAs", "leave the others to the prompt's tags")
    if how == "matrix":
        chosen = [f"strength:#{number + 1}={strengths}" for number in range(len(loras))]
    elif how == "ratio":
        chosen = [f"ratio:#1:#2{'' if total is None else f':{total}'}={shares}"]
    else:
        chosen = [f"combine={how if how == 'alone' else f'alone, {how}, all'}"]
    request = {"version_ids": _versions(loras), "prompt": prompt, "axes": [*chosen, *axes]}
    _draw(loras, request, as_json, choices)


def _versions(refs: list[str]) -> list[str]:
    with open_registry() as registry:
        return [scan.hashed(registry, library.resolve(registry, ref)[1]) for ref in refs]


def _draw(refs: list[str], request: dict[str, Any], as_json: bool, choices: dict[str, Any]) -> None:
    dry_run, yes = choices.pop("dry_run"), choices.pop("yes")
    from hubman.generate.record import generations_folder

    request |= asked(choices)
    with open_registry() as registry:
        grid, planned = plan_of(registry, request)
        warnings = warn_of_grid(registry, grid, planned)
        if dry_run and as_json:
            axes = [{"label": axis.label, "values": axis.values} for axis in grid.axes]
            output.print_json({"axes": axes, "plan": planned, "warnings": warnings})
        elif dry_run:
            output.say(str(planned))
        if dry_run:
            return
        if planned.missing:
            click.echo(output.clean(str(planned)), err=True)
        if not agreed(registry, planned, yes=yes):
            return
        store = generations_folder(registry)
    result = run("sweep", f"sweep {' x '.join(refs)}", request).result or {}
    _show(refs, result, [*warnings, *warn_of_drawn(grid, store)], as_json, seeds=len(request["seeds"]))


def _show(refs: list[str], result: dict[str, Any], warnings: list[str], as_json: bool, *, seeds: int) -> None:
    if as_json:
        output.print_json({**result, "warnings": warnings})
        return
    if result.get("curve"):
        show_curve(result["curve"])
        low, high = result["range"]
        found = Suggestion(strength=result["suggested"], reason=result["reason"], minimum=low, maximum=high)
        output.say(found.words())
        say_next(refs[0], found, seeds)
    output.say(f"grid {result.get('grid_path')}")
