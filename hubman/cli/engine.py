"""The command about the process that draws: engine."""

from __future__ import annotations

import click
import msgspec

from hubman import config
from hubman.cli import output
from hubman.generate.protocol import State, Waiting


@click.group(invoke_without_command=True)
@output.json_option
@click.pass_context
def engine(ctx: click.Context, as_json: bool) -> None:
    """Show the process that draws: its device, what it has loaded, its memory, and who waits for what.

    It starts with the first picture, and ends by itself when nobody wanted one for a while.
    """
    if ctx.invoked_subcommand is not None:
        return
    from hubman.generate.service import asking

    found = asking.state(config.home())
    if as_json:
        told = msgspec.to_builtins(found)
        output.print_json(told and {name: value for name, value in told.items() if name not in {"event", "id"}})
    elif found is None:
        output.say("no engine runs; it starts with the next picture")
    else:
        _show(found)


@engine.command("stop")
@click.option("--kill", is_flag=True, help="End the process where it is, also when it does not answer.")
@output.json_option
def engine_stop(kill: bool, as_json: bool) -> None:
    """End the engine between two steps. Finished pictures stay; jobs that draw fail and can be resumed."""
    from hubman.generate.service import asking

    stopped = asking.stop(config.home(), kill=kill)
    if as_json:
        output.print_json({"stopped": stopped})
    else:
        output.say("the engine has ended" if stopped else "no engine runs")


@engine.command("unload")
@output.json_option
def engine_unload(as_json: bool) -> None:
    """Let the engine give back the memory that it uses; the next picture loads what it needs."""
    from hubman.generate.service import asking

    unloaded = asking.unload(config.home())
    if as_json:
        output.print_json({"unloaded": unloaded})
    else:
        output.say("the engine has nothing loaded" if unloaded else "no engine runs")


def _show(state: State) -> None:
    device = f"{state.device} {state.device_name}".strip() or "not chosen yet"
    threads = f", {state.threads} thread{'s' if state.threads != 1 else ''}" if state.device == "cpu" else ""
    lines = [
        ("engine", f"hubman {state.version}, process {state.pid}, {_doing(state)}"),
        ("device", device + threads),
        ("memory", f"{output.size(state.memory_used)} used, {output.size(state.memory_free)} to be had"),
    ]
    for base in state.bases:
        loras = f", {base.loras} LoRA{'s' if base.loras != 1 else ''} in it" if base.loras else ""
        lines.append(("base", f"{base.name}, {base.dtype}, {output.size(base.bytes)}{loras}"))
    if state.loras:
        lines.append(("LoRAs", f"{state.loras} at hand, {output.size(state.lora_bytes)}"))
    lines += [("running" if each.running else "waits", _work(each)) for each in state.waiting]
    if state.note:
        lines.append(("note", state.note))
    for name, text in lines:
        click.echo(f"{name:<8} {output.clean(text)}")


def _doing(state: State) -> str:
    if state.finishing:
        return "about to end"
    if state.waiting:
        return "at work"
    ends = f", ends after {state.ends_after:.0f} s" if state.ends_after else ""
    return f"idle for {state.idle_seconds:.0f} s{ends}"


def _work(waiting: Waiting) -> str:
    pictures = f" {waiting.done} of {waiting.total} pictures" if waiting.total else ""
    return f"{waiting.client} (process {waiting.pid}): {waiting.work}{pictures}"
