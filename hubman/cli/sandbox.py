"""A local Civitai to rehearse against."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubman import config
from hubman.cli import output

if TYPE_CHECKING:
    from hubman.sandbox import Sandbox


@click.command()
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where it keeps its data; by default beside yours.")
@click.option("--catalogue", type=click.IntRange(1, 25_000), metavar="N", help="Fill it with N generated models, once.")
@click.option(
    "--fault", "faults", multiple=True, metavar="KIND[=AMOUNT][:RATE][:PATH]",
    help="Something that goes wrong, such as 429:0.1, reset-file:3x or latency=200; may be given several times.",
)  # fmt: skip
@click.option(
    "--faults", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A JSON list of such faults."
)
@click.option("--list-faults", is_flag=True, help="Tell which faults there are, and run nothing.")
@click.option("--seed", default=1, help="Decides which requests faults strike, and what the catalogue holds.")
@output.json_option
def sandbox(
    port: int, folder: Path | None, catalogue: int | None, faults: tuple[str, ...], file: Path | None,
    list_faults: bool, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Run a local Civitai until Ctrl-C: search it, pull from it and publish to it with --sandbox."""
    from hubman.civitai.session import announce, sandbox_folder
    from hubman.sandbox import Sandbox, Settings
    from hubman.sandbox.faults import rules

    if list_faults:
        _tell_faults(as_json=as_json)
        return
    chosen = [*(rules.read(file) if file else ()), *rules.parse_all(faults)]
    home = sandbox_folder(config.home())
    with Sandbox(folder or home, port=port, settings=Settings(rules=chosen, seed=seed)) as server:
        if catalogue:
            if not as_json:
                output.say(f"making a catalogue of {catalogue:,} models, unless it is there")
            server.seed_catalogue(catalogue, seed)
        running = announce(home, server.url, server.token("creator"))
        try:
            _tell(server, as_json=as_json)
            while True:
                time.sleep(3600)
        finally:
            running.unlink(missing_ok=True)


def _tell_faults(*, as_json: bool) -> None:
    from hubman.sandbox.faults.rules import KINDS

    if as_json:
        output.print_json([{"kind": k, "help": v.help, "amount": v.amount, "path": v.path} for k, v in KINDS.items()])
        return
    rows = [(name, kind.help, f"{kind.amount:g}" if kind.amount else "", kind.path) for name, kind in KINDS.items()]
    output.table(rows, ("fault", "what happens", "AMOUNT", "where, unless told"))


def _tell(server: Sandbox, *, as_json: bool) -> None:
    holds, faults = server.holds(), [rule.kind for rule in server.settings.rules]
    if as_json:
        output.print_json({"url": server.url, "storage": server.world.storage, "holds": holds, "faults": faults})
        return
    output.say(f"listening on {server.url}; stop with Ctrl-C")
    if holds["models"]:
        output.say(f"it holds {', '.join(f'{count:,} {what}' for what, count in holds.items())}")
        output.say("in another terminal: hubman search --sandbox harbor")
        output.say("and with the number of a hit: hubman pull --sandbox https://civitai.com/models/NUMBER")
    else:
        output.say("it is empty: publish to it with hubman publish REF --sandbox, or fill it with --catalogue 5000")
    if faults:
        output.say(f"these go wrong: {', '.join(faults)}")
