"""The options of every command that draws, and what they say as a job's request."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from hubman import bases
from hubman.cli.arguments import GivenPath
from hubman.generate.request import EMPHASES, Mode
from hubman.generate.upscaling import UPSCALERS
from registry.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.IGNORECASE)


def drawing_options(command: Command) -> Command:
    """Add the settings of a picture; :func:`asked` takes what they give."""
    for option in reversed(
        (
            click.option(
                "--base", default=bases.EMBEDDED, show_default=True,
                help="The base model: a path, or tiny for the embedded one.",
            ),
            click.option("--negative", default="", help="What the picture should not show."),
            click.option("--slot", "slots", multiple=True, metavar="NAME=TEXT", help="What {NAME} of the prompt stands for."),
            click.option("--seed", "seeds", multiple=True, type=click.IntRange(0), help="May be repeated; by default 0."),
            click.option("--count", default=1, show_default=True, type=click.IntRange(1, 1000), help="Seeds from each --seed on."),
            click.option("--steps", default=16, show_default=True, type=click.IntRange(1, 1000)),
            click.option("--cfg", default=None, type=click.FloatRange(0), help="How strictly to follow the prompt."),
            click.option("--sampler", help="A1111's name of a sampler; by default DDIM, for flow models Euler."),
            click.option("--schedule", help="A1111's schedule type, such as Karras."),
            click.option("--size", help="WIDTHxHEIGHT in pixels; by default the base's own."),
            click.option("--clip-skip", type=click.IntRange(1), help="1 is the last layer of the text encoder."),
            click.option("--emphasis", type=click.Choice(EMPHASES), help="How (word:1.2) acts."),
            click.option("--init", type=GivenPath(), metavar="PICTURE", help="Start from this picture."),
            click.option("--denoise", type=click.FloatRange(0, 1), help="How far it goes back towards noise; by default 0.75."),
            click.option("--hires", metavar="SCALE|SIZE", help="A second pass, such as 2 or 1024x1024."),
            click.option("--hires-steps", type=click.IntRange(0, 1000), help="Its steps; by default as many as the first."),
            click.option("--hires-denoise", type=click.FloatRange(0, 1), help="By default 0.7."),
            click.option("--upscaler", type=click.Choice(tuple(UPSCALERS)), help="Between the two passes."),
            click.option("--vae", type=GivenPath(), help="Another VAE: a folder or a file."),
            click.option("--mode", type=click.Choice(get_args(Mode)), help="How several LoRAs act; fused is turbo."),
            click.option("--switch-every", type=click.IntRange(1, 1000), help="Steps of each LoRA's turn in mode switch."),
            click.option("--batch", type=click.IntRange(1, 64), help="Pictures drawn together; by default what fits."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def asked(choices: dict[str, Any]) -> dict[str, Any]:
    """What the options say, as the fields of :class:`hubman.generate.asked.Asked` that were set.

    Where nobody chose, guidance and sampler are the base's own. Raises ``HubError``.
    """
    if choices["denoise"] is not None and not choices["init"]:
        raise UsageError("there is no picture to go back from", "say with --init which, or leave --denoise out")
    base = bases.find(choices["base"])
    suited = {"cfg": 7.0, "sampler": "DDIM", **bases.drawing(base)}
    plain = ("negative", "steps", "schedule", "clip_skip", "emphasis", "denoise", "mode", "switch_every", "batch")
    files = {name: str(Path(choices[name]).expanduser().absolute()) for name in ("init", "vae") if choices[name]}
    said = {
        **suited,
        **{name: choices[name] for name in (*plain, "cfg", "sampler") if choices[name] is not None},
        **files,
        **sides(choices["size"]),
        "base": str(base),
        "seeds": [first + i for first in choices["seeds"] or (0,) for i in range(choices["count"])],
        "slots": _slots(choices["slots"]),
        "hires": _hires(choices),
    }
    return {name: value for name, value in said.items() if value not in (None, "", {})}


def sides(size: str | None) -> dict[str, int]:
    """``512x768`` as width and height. Raises ``UsageError``."""
    if size is None:
        return {}
    match = _SIZE.fullmatch(size.strip())
    if match is None:
        raise UsageError(f"size {size!r} is not WIDTHxHEIGHT", "write for example 512x768")
    return {"width": int(match[1]), "height": int(match[2])}


def _slots(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise UsageError(f"slot {text!r} is not NAME=TEXT", "write for example --slot subject='a cat'")
        found[name.strip()] = value
    return found


def _hires(choices: dict[str, Any]) -> dict[str, Any] | None:
    details = {"steps": choices["hires_steps"], "denoise": choices["hires_denoise"], "upscaler": choices["upscaler"]}
    details = {name: value for name, value in details.items() if value is not None}
    given = choices["hires"]
    if given is None:
        if details:
            raise UsageError("there is no second pass to set up", "say with --hires how large it shall be, such as 2")
        return None
    if "x" in given.lower():
        return {**sides(given), **details}
    try:
        return {"scale": float(given), **details}
    except ValueError:
        raise UsageError(f"hires {given!r} is neither a scale nor a size", "write 2 or 1024x1024") from None
