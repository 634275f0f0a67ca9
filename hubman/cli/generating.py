"""The command ``generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hubman.cli import output
from hubman.cli.arguments import GivenPath
from hubman.cli.drawing_options import asked, drawing_options
from hubman.cli.drawing_plan import say, warn_of_picture, warn_of_request
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
@click.option("--recipe", metavar="NAME", help="Draw a recipe that was saved, here or in the TUI (mode 4, S).")
@click.option("--save", metavar="NAME", help="Keep this, with its first seed, as a recipe to draw or load again.")
@output.json_option
@click.pass_context
def generate(
    ctx: click.Context, /, prompt: str | None, picture: Path | None, recipe: str | None, save: str | None,
    as_json: bool, **choices: Any,
) -> None:  # fmt: skip
    """Draw PROMPT, which may hold ``<lora:name:0.8>`` tags. Each picture carries its settings, as A1111 writes them."""
    if recipe is not None:
        if prompt is not None or picture is not None or save is not None:
            raise UsageError("--recipe draws what was saved", "give nothing else to draw with it")
        _recipe(recipe, as_json)
        return
    if picture is not None:
        _again(ctx, prompt, picture, as_json, choices)
        return
    from hubman.generate import saved
    from hubman.generate.asked import asked as read
    from hubman.generate.asked import request_of

    if prompt is None:
        raise UsageError("there is nothing to draw", "give a prompt, or a picture with --from")
    if choices["switch_every"] is not None and choices["mode"] != "switch":
        raise UsageError("LoRAs take turns in mode switch only", "add --mode switch, or leave --switch-every out")
    request = {"prompt": prompt, **asked(choices)}
    with open_registry() as registry:
        warnings = warn_of_picture(registry, request)
        if save is not None:
            saved.save(registry.home, saved.Saved(name=save, request=request_of(registry, read(request))))
    _show(run("generate", f"draw {prompt[:40]}", request).result or {}, warnings, as_json)


def _recipe(name: str, as_json: bool) -> None:
    from hubman.generate import saved
    from hubman.generate.naming import located

    with open_registry() as registry:
        path = saved.file_of(registry.home, name)
        warnings = warn_of_request(registry, located(registry, saved.load(path).request))
    _show(run("generate", f"draw {path.stem}", {"recipe": str(path)}).result or {}, warnings, as_json)


def _show(result: dict[str, Any], warnings: list[str], as_json: bool) -> None:
    from hubman.generate.guards.grids import black_guard, black_pictures

    images = result.get("images", [])
    if black := black_pictures(map(Path, images)):
        warnings = [*warnings, *say([str(black_guard(len(black)))])]
    if as_json:
        output.print_json({"images": images, "warnings": warnings})
        return
    for image in images:
        output.say(image)


def _again(ctx: click.Context, prompt: str | None, picture: Path, as_json: bool, choices: dict[str, Any]) -> None:
    from hubman.generate.again import request_of_picture

    said = [
        option.opts[0] for option in ctx.command.params
        if option.name in choices and option.name != "base"
        and ctx.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE
    ]  # fmt: skip
    if prompt is not None or said:
        what = said[0] if said else "a prompt"
        raise UsageError(f"--from draws what the picture carries, and {what} would change it", "leave one of them out")
    path = picture.expanduser().absolute()
    if not path.is_file():
        raise NotFoundError(f"no picture at {picture}", "give the path of a PNG, JPEG or WebP")
    given = ctx.get_parameter_source("base") is click.core.ParameterSource.COMMANDLINE
    base = choices["base"] if given else ""
    with open_registry() as registry:
        request_of_picture(registry, path, base)  # what it lacks is told now, and not by a job that can't be mended
    request = {"picture": str(path), "base": base}
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
