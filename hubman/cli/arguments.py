"""Arguments and options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class GivenPath(click.Path):
    """A path as a person named it. An empty one, such as a shell variable that is not set, is not the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("an empty name is no path, . is the folder where you are", param, ctx)
        return super().convert(value, param, ctx)


def preset_option(command: Command) -> Command:
    """Add ``--preset PROGRAM``: the folder that is given is where that program is installed."""
    help_text = "FOLDER is where a1111, forge, comfyui, invokeai, stabilitymatrix or swarmui is."
    return click.option("--preset", metavar="PROGRAM", help=help_text)(command)
