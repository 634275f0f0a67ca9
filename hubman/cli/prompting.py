"""``hubman prompt``: how a prompt is read, what in it does not do what it seems to, and the same prompt mended."""

from __future__ import annotations

from typing import Any

import click

from hubman.cli import output
from hubman.generate import prompt as prompts
from hubman.generate.lint import Lint, mended
from hubman.generate.prompt_dialects import DIALECTS, to_a1111
from hubman.generate.prompt_emphasis import runs
from hubman.generate.prompt_schedule import schedule
from registry.errors import UsageError

_AROUND = 30
"""Characters shown on both sides of what a remark is about."""


@click.command("prompt")
@click.argument("text")
@click.option("--negative", "is_negative", is_flag=True, help="It is a negative prompt.")
@click.option("--steps", type=click.IntRange(1, 1000), help="Of the picture: shows what is drawn at which step.")
@click.option("--slot", "slots", multiple=True, metavar="NAME=VALUE", help="Fill the slot {NAME}; may be repeated.")
@click.option("--as", "dialect", type=click.Choice(DIALECTS), default="a1111", help="The program it was written for.")
@click.option("--fix", is_flag=True, help="Print only the prompt with every remark mended that has a fix.")
@output.json_option
def prompt(
    text: str, is_negative: bool, steps: int | None, slots: tuple[str, ...], dialect: str, fix: bool, as_json: bool
) -> None:
    """How TEXT is read: LoRAs, weights, parts and steps, and what in it does not do what it seems to.

    With ``--as`` a prompt of ComfyUI or InvokeAI is first written in A1111's grammar, which is hubman's.
    """
    typed = to_a1111(text, dialect)
    how: dict[str, Any] = {"slots": _slots(slots), "steps": steps, "is_negative": is_negative}
    read = prompts.parse(typed, **how)
    if as_json:
        output.print_json({**_as_json(typed, read, steps), "fixed": prompts.mend(typed, **how)})
        return
    if fix:
        for line in prompts.mend(typed, **how).split("\n"):
            output.say(line)
        return
    _show(typed, read, steps)


def _slots(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not (equals and name.isidentifier()):
            raise UsageError(f"--slot {one} fills no slot", "write NAME=VALUE, such as subject=cat")
        found[name] = value
    return found


def _as_json(typed: str, read: prompts.Prompt, steps: int | None) -> dict[str, Any]:
    return {
        "typed": typed,
        "text": read.text,
        "loras": [
            {"name": tag.name, "unet": tag.unet, "te": tag.te, "start": tag.start, "stop": tag.stop,
             "blocks": tag.block_weights, "rank": tag.rank} for tag in read.tags
        ],
        "parts": [
            {"weight": part.weight, "runs": [{"text": "BREAK" if run.is_break else run.text, "weight": run.weight}
                                             for run in runs(part.text)],
             **({"steps": [{"until": one.until, "text": one.text} for one in schedule(part.text, steps)]} if steps else {})}
            for part in read.parts
        ],
        "remarks": [
            {"start": one.start, "end": one.end, "code": one.code, "message": one.message, "is_error": one.is_error,
             "fix": one.fix, "fixed": mended(typed, one) if one.edit else None} for one in read.lints
        ],
    }  # fmt: skip


def _show(typed: str, read: prompts.Prompt, steps: int | None) -> None:
    for tag in read.tags:
        output.say(f"lora    {tag}")
    for part in read.parts:
        if len(read.parts) > 1:
            output.say(f"part    {part.weight:g} times")
        stretches = schedule(part.text, steps) if steps else ()
        since = 1
        for stretch in stretches if len(stretches) > 1 else ():
            output.say(f"step    {since} to {stretch.until}: {stretch.text.strip()}")
            since = stretch.until + 1
        for run in runs(part.text) if len(stretches) < 2 else ():
            output.say("        BREAK" if run.is_break else f"{run.weight:<7.4g} {run.text.strip()}")
    for one in read.lints:
        _point(typed, one)


def _point(typed: str, one: Lint) -> None:
    """The remark, and below it the place in the text with carets under what it is about."""
    from rich.cells import cell_len

    output.say(f"! {one.message}" + (f" (fix: {one.fix})" if one.edit else ""))
    begin, end = max(0, one.start - _AROUND), min(len(typed), one.end + _AROUND)
    before, wrong = output.clean(typed[begin : one.start]), output.clean(typed[one.start : one.end])
    click.echo(f"  {output.clean(typed[begin:end])}")
    click.echo(f"  {' ' * cell_len(before)}{'^' * max(1, cell_len(wrong))}")
