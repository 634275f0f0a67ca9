"""The command ``generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hubman.cli import output
from hubman.cli.arguments import GivenPath
from hubman.cli.drawing_options import asked, drawing_options
from hubman.cli.drawing_plan import warn_of_picture
from hubman.cli.library import open_registry
from hubman.cli.work import run
from registry.errors import NotFoundError, UsageError


@click.command()
@click.argument("prompt", required=False)
@drawing_options
@click.option(
    "--from", "picture", type=GivenPath(), metavar="PICTURE",
    help="Draw a picture once more: hubman's bit for bit, another program's as near as it tells. --base says on what.",
)  # fmt: skip
@output.json_option
@click.pass_context
def generate(ctx: click.Context, /, prompt: str | None, picture: Path | None, as_json: bool, **choices: Any) -> None:
    """Draw PROMPT, which may hold ``<lora:name:0.8>`` tags. Each picture carries its settings, as A1111 writes them."""
    if picture is not None:
        _again(ctx, prompt, picture, as_json, choices)
        return
    if prompt is None:
        raise UsageError("there is nothing to draw", "give a prompt, or a picture with --from")
    request = {"prompt": prompt, **asked(choices)}
    with open_registry() as registry:
        warnings = warn_of_picture(registry, request)
    ended = run("generate", f"draw {prompt[:40]}", request)
    images = (ended.result or {}).get("images", [])
    if as_json:
        output.print_json({"images": images, "warnings": warnings})
        return
    for image in images:
        output.say(image)


def _again(ctx: click.Context, prompt: str | None, picture: Path, as_json: bool, choices: dict[str, Any]) -> None:
    said = [
        name for name in choices
        if name != "base" and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]  # fmt: skip
    if prompt is not None or said:
        what = f"--{said[0].replace('_', '-')}" if said else "a prompt"
        raise UsageError(f"--from draws what the picture carries, and {what} would change it", "leave one of them out")
    path = picture.expanduser().absolute()
    if not path.is_file():
        raise NotFoundError(f"no picture at {picture}", "give the path of a PNG, JPEG or WebP")
    given = ctx.get_parameter_source("base") is click.core.ParameterSource.COMMANDLINE
    request = {"picture": str(path), "base": choices["base"] if given else ""}
    result = run("generate", f"draw {path.name[:40]} again", request).result or {}
    if as_json:
        output.print_json(result)
        return
    for image in result.get("images", []):
        output.say(image)
    if "same" in result:
        equal = "every pixel is equal"
        output.say(equal if result["same"] else f"pixels differ by up to {result.get('largest')} of 255")
    for remark in result.get("remarks", ()):
        click.echo(output.clean(f"note: {remark}"), err=True)
