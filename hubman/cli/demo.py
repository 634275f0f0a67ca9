"""``hubman demo``: the whole loop, with nothing from outside."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import click

from hubman import config
from hubman.cli import output
from registry.errors import HubError, MissingExtraError


@click.command()
@click.option("--headless", is_flag=True, help="Do not open the TUI on the result.")
@click.option("--keep", type=click.Path(path_type=Path), help="Where to play; by default a folder beside your data.")
@click.option(
    "--seeds",
    default=16,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Pictures at each strength of the sweeps.",
)
@output.json_option
def demo(headless: bool, keep: Path | None, seeds: int, as_json: bool) -> None:
    """Train, sweep, publish to a local sandbox and sync, on the embedded base model; then look at it in the TUI.

    Nothing of yours is touched: it plays in a folder of its own. Exit status 0 only if every step held.
    """
    missing = [name for name in ("torch", "diffusers", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"the demo trains and draws, which needs {', '.join(missing)}", "pip install 'hubman[ml]'"
        )
    from hubman.demo.run import run

    folder = (keep or config.home() / "demo").expanduser().absolute()
    with output.progress(quiet=as_json) as report:
        result = run(folder, report, seeds=seeds)
    if as_json:
        output.print_json(result)
    else:
        output.say(
            f"{'every step held' if result.held else 'NOT every step held'}, {result.seconds:g} s, at most {result.peak_memory_mb:g} MB"
        )
        for step in result.steps:
            output.say(f"{'✔' if step.held else '✘'} {step.name:<18} {step.seconds:>6.1f} s  {step.summary}")
        for lora in result.loras:
            output.say(
                f"  {lora.name}: style seen by rules "
                + ", ".join(f"{at}: {seen:.2f}" for at, seen in lora.detected.items())
            )
        output.say(f"report with pictures: {result.html}")
        output.say(f"look at it again with: HUBMAN_HOME={result.home} hubman")
    if not result.held:
        failed = next((step for step in result.steps if not step.held), None)
        raise HubError(f"the demo stopped at: {failed.name}" if failed else "the demo did not finish")
    if not (headless or as_json) and sys.stdin.isatty() and sys.stdout.isatty():
        from tui.app import HubmanApp

        HubmanApp(Path(result.home), watch=True).run()
