"""The commands that draw: generate, sweep, combine."""

from __future__ import annotations

from typing import Any

import click

from hubman import bases
from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.cli.work import run
from registry import library, scan
from registry.errors import UsageError


def _drawing_options(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--base",
                default=bases.EMBEDDED,
                show_default=True,
                help="The base model: a path, or tiny for the embedded one.",
            ),
            click.option("--negative", default="", help="What the picture should not show."),
            click.option(
                "--seed", "seeds", multiple=True, type=click.IntRange(0), help="May be repeated; by default 0."
            ),
            click.option("--steps", default=16, show_default=True, type=click.IntRange(1, 1000)),
            click.option("--cfg", default=None, type=click.FloatRange(0), help="How strictly to follow the prompt."),
            click.option("--sampler", help="A1111's name of a sampler; by default DDIM, for flow models Euler."),
        )
    ):
        command = option(command)
    return command


def _request(choices: dict[str, Any]) -> dict[str, Any]:
    """What the drawing options say, for a job; a seed of 0 and the base's own guidance when nothing was said."""
    base = bases.find(choices.pop("base"))
    chosen = {name: value for name in ("cfg", "sampler") if (value := choices.pop(name)) is not None}
    suited = {"cfg": 7.0, "sampler": "DDIM", **bases.drawing(base)}
    return {**choices, "base": str(base), "seeds": list(choices.pop("seeds")) or [0], **suited, **chosen}


@click.command()
@click.argument("prompt")
@_drawing_options
@click.option("--size", help="WIDTHxHEIGHT in pixels; by default the base's own.")
@output.json_option
def generate(prompt: str, size: str | None, as_json: bool, **choices: Any) -> None:
    """Draw PROMPT, which may hold ``<lora:name:0.8>`` tags. Each picture carries its settings, as A1111 writes them."""
    request = {"prompt": prompt, **_request(choices), **_sides(size)}
    ended = run("generate", f"draw {prompt[:40]}", request)
    images = (ended.result or {}).get("images", [])
    if as_json:
        output.print_json(images)
    else:
        for image in images:
            output.say(image)


def _sides(size: str | None) -> dict[str, int]:
    if size is None:
        return {}
    width, x, height = size.lower().partition("x")
    if not (x and width.isdigit() and height.isdigit()):
        raise UsageError(f"size {size!r} is not WIDTHxHEIGHT", "write for example 512x768")
    return {"width": int(width), "height": int(height)}


@click.command()
@click.argument("ref")
@click.argument("prompt")
@click.option(
    "--strengths",
    default="0-1 (+0.25)",
    show_default=True,
    help="Values such as 0,0.5,1 or a range such as 0-1 (+0.1).",
)
@_drawing_options
@output.json_option
def sweep(ref: str, prompt: str, strengths: str, as_json: bool, **choices: Any) -> None:
    """Draw PROMPT with the LoRA REF at several strengths: a labelled grid, a curve, and a suggested strength."""
    _sweep([ref], prompt, strengths, as_json, choices)


@click.command()
@click.argument("first")
@click.argument("second")
@click.argument("prompt")
@click.option("--strengths", default="0,0.4,0.8", show_default=True, help="Values for each of the two.")
@_drawing_options
@output.json_option
def combine(first: str, second: str, prompt: str, strengths: str, as_json: bool, **choices: Any) -> None:
    """Draw PROMPT with the LoRAs FIRST and SECOND at every pair of strengths, as one labelled grid."""
    _sweep([first, second], prompt, strengths, as_json, choices)


def _sweep(refs: list[str], prompt: str, strengths: str, as_json: bool, choices: dict[str, Any]) -> None:
    from hubman.generate.axes import parse_floats

    with open_registry() as registry:
        versions = [scan.hashed(registry, library.resolve(registry, ref)[1]) for ref in refs]
    request = {
        "version_ids": versions,
        "prompt": prompt,
        "strengths": list(parse_floats(strengths)),
        **_request(choices),
    }
    ended = run("sweep", f"sweep {' x '.join(refs)}", request)
    result = ended.result or {}
    if as_json:
        output.print_json(result)
        return
    for point in result.get("curve", []):
        output.say("  ".join(f"{name} {value:.3f}" for name, value in point.items() if isinstance(value, int | float)))
    if result.get("suggested") is not None:
        output.say(
            f"suggested strength {result['suggested']:g}; hubman edit {refs[0]} strength={result['suggested']:g} keeps it"
        )
    output.say(f"grid {result.get('grid_path')}")
