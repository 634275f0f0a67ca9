"""Downloading from Civitai."""

from __future__ import annotations

from pathlib import Path

import click

from hubman import config
from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.cli.site import sandbox_option, site_of


@click.command()
@click.argument("refs", nargs=-1, required=True)
@click.option("--into", type=click.Path(path_type=Path), help="Folder for the files; by default one that hubman keeps.")
@sandbox_option
@output.json_option
def pull(refs: tuple[str, ...], into: Path | None, use_sandbox: bool, as_json: bool) -> None:
    """Download REFS (a page's address, an AIR, a version id or a hash), verify them and add them to the library."""
    from hubman.civitai.pull import pull as pull_model
    from hubman.civitai.session import connect

    pulled = []
    with (
        open_registry() as registry,
        output.progress(quiet=as_json) as report,
        connect(config.home(), site_of(use_sandbox)) as client,
    ):
        folder = into or registry.models_folder / "pulled"
        for ref in refs:
            pulled.append(pull_model(registry, client, ref, into=folder, report=report))
            if not as_json:
                said = "verified" if pulled[-1].verified else "Civitai has not scanned it yet"
                output.say(f"{pulled[-1].path} (sha256 {pulled[-1].sha256[:12]}, {said})")
    if as_json:
        output.print_json(
            [
                {"version_id": p.version_id, "path": str(p.path), "sha256": p.sha256, "verified": p.verified}
                for p in pulled
            ]
        )
