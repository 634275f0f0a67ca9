"""The command that reads LoRAs without drawing: analyze."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.progress import Progress, Report
from registry.errors import HubError, UsageError

if TYPE_CHECKING:
    from hubman.lora.analysis import Tell
    from hubman.lora.conflict import Reading
    from hubman.lora.delta_files import BaseWeights
    from hubman.lora.reports import OneReport, OriginReport, StackReport
    from registry.database import Registry

_BAR = 24


@click.command()
@click.argument("refs", nargs=-1)
@click.option("--relatives", is_flag=True, help="Where it comes from, among all LoRAs of the library.")
@click.option("--modules", is_flag=True, help="Tell every module, not only blocks.")
@click.option(
    "--base", metavar="BASE", help="The base, for what is made of its weights (DoRA, OFT …) and for shares of them."
)
@output.json_option
def analyze(refs: tuple[str, ...], relatives: bool, modules: bool, base: str | None, as_json: bool) -> None:
    """What the weights of LoRAs say without drawing a picture.

    Of one: how far it moves the weights, block by block, and of what rank that is. Of several, with strengths such as
    ``ink:0.8``: what they do together. With --relatives: the same LoRA in other files, what it was cut down or merged
    from, other epochs. Without a REF it makes the fingerprints that the library lacks, which the TUI and ``hubman
    watch`` do in the background.
    """
    from hubman.lora.conflict import is_available

    if not is_available():
        raise HubError("reading weights needs NumPy", "pip install 'hubman[ml]'")
    if relatives and len(refs) != 1:
        raise UsageError("--relatives asks about one LoRA", "name one")
    if base and (relatives or not refs):
        raise UsageError("--base is for looking at LoRAs exactly", "leave it out")
    with open_registry() as registry, output.progress(quiet=as_json) as report:
        made = _make_missing(registry, report) if relatives or not refs else None
        found = _look(registry, refs, relatives, base, report) if refs else made
    if as_json:
        output.print_json(found)
    elif isinstance(found, dict):
        _print_made(found)
    else:
        _print(found, modules=modules)


def _make_missing(registry: Registry, report: Report) -> dict[str, object]:
    from hubman.lora import fingerprint_store

    made, problems = fingerprint_store.make_missing(registry, _teller(report, "fingerprints", "files"))
    return {"made": made, "problems": problems}


def _teller(report: Report, stage: str, unit: str) -> Tell:
    def tell(done: int, total: int) -> None:
        report(Progress(stage=stage, done=done, total=total, unit=unit))

    return tell


def _look(
    registry: Registry, refs: Sequence[str], relatives: bool, base: str | None, report: Report
) -> OneReport | StackReport | OriginReport:
    from hubman.lora import reports, subjects

    named = [subjects.subject(registry, ref) for ref in refs]
    subjects.check_are_different(named)
    if relatives:
        return reports.of_origin(registry, named[0])
    tell, weights = _teller(report, "reading", "modules"), _loaded(base) if base else None
    if len(named) == 1:
        return reports.of_one(registry, named[0], tell, weights)
    return reports.of_stack(registry, named, tell, weights)


def _loaded(base: str) -> BaseWeights:
    from hubman import bases
    from hubman.lora.based import LoadedBase

    return LoadedBase(bases.find(base))


def _print(found: OneReport | StackReport | OriginReport | None, *, modules: bool) -> None:
    from hubman.lora.reports import OneReport, StackReport

    match found:
        case OneReport():
            _print_one(found, modules=modules)
        case StackReport():
            _print_stack(found)
        case None:
            pass
        case _:
            _print_origin(found)


def _print_made(made: dict[str, object]) -> None:
    output.say(f"{made['made']} fingerprints made")
    problems = made["problems"]
    for problem in problems if isinstance(problems, list) else ():
        output.say(f"  {problem}")


def _print_one(found: OneReport, *, modules: bool) -> None:
    sizes = found.sizes
    than = f", more than {found.percentile:.0f} % of the library's" if found.percentile is not None else ""
    share = f", {sizes.relative:.2%} of the base's" if sizes.relative is not None else ""
    output.say(f"{found.name}: moves the weights by {sizes.norm:.4g}{share}{than}")
    output.say(
        f"{len(sizes.modules)} modules, effective rank {sizes.effective_rank:.1f}, stable rank {sizes.stable_rank:.1f}"
    )
    if sizes.vectors:
        output.say(f"norms and biases by {sizes.vectors:.4g}")
    if sizes.untold:
        output.say(
            f"{sizes.untold} modules are left out: their change is made of the base's weights (DoRA, OFT and such)"
        )
    if sizes.strange:
        output.say(f"{sizes.strange} tensors belong to no adapter that is known")
    largest = max((block.norm for block in sizes.blocks), default=0.0)
    output.say(f"{'block':<6} {'norm':>9}  {'':<{_BAR}} {'energy':>6}  {'eff. rank':>9} {'stable':>7}")
    for block in sizes.blocks:
        output.say(
            f"{block.name:<6} {block.norm:>9.4g}  {_bar(block.norm, largest)} {block.share:>6.1%}  "
            f"{block.effective_rank:>9.1f} {block.stable_rank:>7.1f}"
            + (f"  {block.relative:.2%} of the base's" if block.relative is not None else "")
        )
    for one in sizes.modules if modules else ():
        values = " ".join(f"{value:.3g}" for value in one.values[:4])
        output.say(f"{one.block:<6} {one.norm:>9.4g}  {one.effective_rank:>6.1f}  {values}  {one.name}")


def _print_stack(found: StackReport) -> None:
    named = [f"{name}:{strength:g}" for name, strength in zip(found.names, found.strengths, strict=True)]
    output.say(" + ".join(named))
    for name, norm, strength, untold in zip(found.names, found.norms, found.strengths, found.untold, strict=True):
        left_out = f", {untold} modules left out (made of the base's weights)" if untold else ""
        output.say(f"  {name} moves the weights by {norm:.4g}, at {strength:g} by {norm * abs(strength):.4g}{left_out}")
    share = f", {found.relative:.2%} of the base's" if found.relative is not None else ""
    output.say(f"together by {found.total.budget:.4g}{share}{_than(found.total)}")
    output.say(f"interaction {found.total.interaction:+.3f}, {found.total.overlap:.0%} of the energy in shared modules")
    for pair in found.pairs:
        if pair.one < pair.other:
            back = next(other for other in found.pairs if (other.one, other.other) == (pair.other, pair.one))
            output.say(
                f"  {found.names[pair.one]} and {found.names[pair.other]}: cosine {pair.cosine:+.3f}, "
                f"output overlap {pair.output_overlap:+.1%} and {back.output_overlap:+.1%} above chance"
            )
    for kin in found.relations:
        output.say(f"  {found.names[int(kin.one)]} {kin.words.format(found.names[int(kin.other)])}")
    largest = max((block.budget for block in found.blocks), default=0.0)
    output.say(f"{'block':<6} {'budget':>9}  {'':<{_BAR}} {'interaction':>11} {'shared':>7}")
    for block in found.blocks:
        output.say(
            f"{block.name:<6} {block.budget:>9.4g}  {_bar(block.budget, largest)} {block.interaction:>+11.3f} "
            f"{block.overlap:>7.0%}{_than(block, ', ')}"
        )
    for words in found.words:
        output.say(words)


def _than(reading: Reading, before: str = ", ") -> str:
    return "" if reading.percentile is None else f"{before}more than {reading.percentile:.0f} % of the library's"


def _print_origin(found: OriginReport) -> None:
    for words in found.words:
        output.say(words)
    output.say(f"compared with {found.origin.compared} LoRAs")
    for sha256, cosine in found.origin.nearest:
        output.say(f"  {cosine:+.4f}  {found.names[sha256]}  {sha256[:12]}")


def _bar(value: float, largest: float) -> str:
    """Eighths of a character, ``_BAR`` wide."""
    eighths = round(8 * _BAR * value / largest) if largest else 0
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(_BAR)
