"""``hubman dataset``: training images, checked and captioned."""

from __future__ import annotations

import click

from hubman.cli import caption_editing, captioning, dataset_images


@click.group()
def dataset() -> None:
    """Training images: check them, caption them, look at them."""


for _command in (*dataset_images.COMMANDS, captioning.dataset_caption, *caption_editing.COMMANDS):
    dataset.add_command(_command)
