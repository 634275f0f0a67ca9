"""``hubman dataset``: training images, checked and captioned."""

from __future__ import annotations

from pathlib import Path

import click

from hubman.cli import dataset_images, output
from hubman.cli.work import run

FOLDER = click.Path(path_type=Path)


@click.group()
def dataset() -> None:
    """Training images: check them, caption them, look at them."""


for _command in dataset_images.COMMANDS:
    dataset.add_command(_command)


@dataset.command("caption")
@click.argument("folder", type=FOLDER)
@click.option("--trigger", default="", help="The word that every caption begins with.")
@click.option("--clip", type=FOLDER, help="A CLIP model's folder; by default the embedded one.")
@click.option("--terms", type=FOLDER, help="Lists of words (JSON) to choose from; by default the embedded ones.")
def dataset_caption(folder: Path, trigger: str, clip: Path | None, terms: Path | None) -> None:
    """Write a first draft of a caption beside each image of FOLDER that has none; what you typed is never overwritten."""
    request = {"folder": str(folder.absolute()), "trigger": trigger}
    request |= {name: str(path.absolute()) for name, path in (("clip", clip), ("terms", terms)) if path}
    ended = run("caption", f"caption {folder.name}", request)
    output.say(f"{(ended.result or {}).get('written', 0)} captions written")
