"""A local Civitai to rehearse against."""

from __future__ import annotations

import time
from pathlib import Path

import click

from hubman import config
from hubman.cli import output


@click.command()
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where it keeps its data; by default beside yours.")
def sandbox(port: int, folder: Path | None) -> None:
    """Run a local Civitai until Ctrl-C: publish to it with --sandbox to rehearse."""
    from hubman.civitai.session import announce, sandbox_folder
    from hubman.sandbox import Sandbox

    home = sandbox_folder(config.home())
    with Sandbox(folder or home, port=port) as server:
        running = announce(home, server.url, server.token("creator"))
        output.say(f"listening on {server.url}; stop with Ctrl-C")
        try:
            while True:
                time.sleep(3600)
        finally:
            running.unlink(missing_ok=True)
