"""The commands that make LoRA files of others: merge, resize, extract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from hubman.cli import output
from hubman.cli.arguments import GivenPath
from hubman.cli.library import open_registry
from hubman.cli.work import run
from hubman.lora.derive import parents as kin
from hubman.lora.derive import planning
from hubman.lora.derive.request import DENSE, Method, Precision
from registry.errors import UsageError


def _shared(command: Any) -> Any:
    """Options that all three take."""
    for option in reversed(
        (
            click.option("-o", "--out", metavar="NAME", help="A name in the library's folder, or a path."),
            click.option("--dtype", type=click.Choice(get_args(Precision)), help="By default fp16."),
            output.json_option,
        )
    ):
        command = option(command)
    return command


_base = click.option("--base", type=GivenPath(), help="The base, which DoRA, OFT, GLoRA and (IA)3 are made of.")
_rank = click.IntRange(1, 4096)


@click.command()
@click.argument("refs", nargs=-1, metavar="LORA[:RATIO]...")
@click.option("--from", "repeated", metavar="FILE", help="Repeat the merge that FILE's header tells of.")
@click.option("--method", type=click.Choice(get_args(Method)), help="By default exact up to --rank, above it by SVD.")
@click.option("--rank", type=_rank, help="The most that a module gets; by default 128.")
@click.option("--density", type=click.FloatRange(0, 1, min_open=True), help="What ties, dare and prune keep; 0.5.")
@click.option("--seed", type=click.IntRange(0), help="Of dare's choice; by default 0. It is kept in the file.")
@click.option("--blocks", multiple=True, help="Weights of blocks: one for all LoRAs, or one for each in their order.")
@_base
@_shared
def merge(
    refs: tuple[str, ...], repeated: str | None, method: Method | None, rank: int | None, density: float | None,
    seed: int | None, blocks: tuple[str, ...], base: Path | None, out: str | None, dtype: Precision | None, as_json: bool,
) -> None:  # fmt: skip
    """Make one LoRA of several, each at its ratio: ``hubman merge ink:0.7 paper:0.5``.

    The sum is exact as long as it fits the rank; above it, the best of that rank, and the share that is kept is told.
    ties, dare and prune change the sum. Licences and trigger words of the parents are carried along. Nothing is written
    before it was compared with what was asked for.
    """
    _refuse_idle_options(method, rank, density, seed)
    with open_registry() as registry:
        if repeated is not None:
            if refs or blocks or method or rank or dtype:
                raise UsageError("--from takes everything from FILE", "leave the rest out, but -o and --base")
            request, known = planning.repeated(registry, repeated, out, base)
        else:
            chosen = {"method": method, "rank": rank, "density": density, "seed": seed, "dtype": dtype}
            given = {name: value for name, value in chosen.items() if value is not None}
            request, known = planning.merge(registry, refs, out, base, blocks, given)
        notes = kin.notes(registry, known)
    _tell(notes, as_json)
    ended = run("merge", f"merge {' + '.join(one.parent.name for one in known)}", msgspec.to_builtins(request))
    result = ended.result or {}
    if as_json:
        output.print_json({**result, "notes": notes})
        return
    for one, words in zip(known, result["parents"], strict=True):
        output.say(f"{one.parent.name} x {one.parent.ratio:g}: {words}")
    if request.method in DENSE:
        output.say(f"{request.method} changes the plain sum by {result['changes_sum']:.0%}")
    _say_made(result)


def _refuse_idle_options(method: str | None, rank: int | None, density: float | None, seed: int | None) -> None:
    if method == "concat" and rank is not None:
        raise UsageError("concat keeps every rank", "--method svd cuts to --rank")
    if density is not None and method not in DENSE:
        raise UsageError("--density is for ties, dare and prune", "choose one of them with --method")
    if seed is not None and method != "dare":
        raise UsageError("--seed is for dare", "add --method dare")


@click.command()
@click.argument("ref", metavar="LORA")
@click.option("--rank", type=_rank, help="The most that a module gets.")
@click.option(
    "--keep", type=click.FloatRange(0, 1, min_open=True), help="The share of each module's norm, such as 0.95."
)
@click.option("--sv-ratio", type=click.FloatRange(1), help="Singular values down to the largest divided by this.")
@click.option("--count", type=click.IntRange(1), help="So many singular values in the whole file, the largest.")
@_base
@_shared
def resize(
    ref: str, rank: int | None, keep: float | None, sv_ratio: float | None, count: int | None, base: Path | None,
    out: str | None, dtype: Precision | None, as_json: bool,
) -> None:  # fmt: skip
    """Write a LoRA at another rank: fixed, or for each module as its singular values ask for. Rules add up.

    Norms and biases stay as they are; every other kind becomes a plain LoRA.
    """
    rules = {"rank": rank, "keep": keep, "sv_ratio": sv_ratio, "count": count}
    with open_registry() as registry:
        request, known = planning.resize(registry, ref, out, base, {**rules, "dtype": dtype or "fp16"})
    ended = run("resize", f"resize {known.parent.name}", msgspec.to_builtins(request))
    result = ended.result or {}
    if as_json:
        output.print_json(result)
    else:
        _say_made(result)


@click.command()
@click.argument("tuned", type=GivenPath())
@click.option("--base", type=GivenPath(), required=True, help="The checkpoint or folder that TUNED was made from.")
@click.option("--rank", type=_rank, default=32, show_default=True, help="The most that a module gets.")
@click.option("--conv-rank", type=click.IntRange(0, 4096), help="Of wide convolutions; by default --rank, 0: none.")
@click.option(
    "--keep", type=click.FloatRange(0, 1, min_open=True), help="Less rank where this share of a norm has less."
)
@click.option("--text/--no-text", default=True, show_default=True, help="Whether text encoders are extracted too.")
@_shared
def extract(
    tuned: Path, base: Path, rank: int, conv_rank: int | None, keep: float | None, text: bool, out: str | None,
    dtype: Precision | None, as_json: bool,
) -> None:  # fmt: skip
    """Write what the checkpoint TUNED has beyond its base as a LoRA. Both may be files or diffusers folders."""
    rules = {"rank": rank, "conv_rank": conv_rank, "keep": keep, "text": text, "dtype": dtype or "fp16"}
    with open_registry() as registry:
        request = planning.extract(registry, tuned, base, out, rules)
    ended = run("extract", f"extract {tuned.stem}", msgspec.to_builtins(request))
    result = ended.result or {}
    if as_json:
        output.print_json(result)
    else:
        _say_made(result)


def _tell(notes: Sequence[str], as_json: bool) -> None:
    for note in () if as_json else notes:
        output.say(f"note: {note}")


def _say_made(result: dict[str, Any]) -> None:
    output.say(f"wrote {result['path']}")
    low, high = result["ranks"]
    idle = f", {result['idle']} that change nothing left out" if result["idle"] else ""
    cut = f"{result['cut']} cut in rank" if result["cut"] else "none cut in rank"
    output.say(
        f"{result['modules']} modules{idle}, rank {low if low == high else f'{low} to {high}'}, {cut}: "
        f"{result['kept']:.2%} of the energy kept, largest error besides {result['error']:.1e}"
    )
