"""The command ``pull``: from references to files, by a plan and the queue of downloads."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hubman import config
from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.cli.pull_watch import results, watch
from hubman.cli.site import sandbox_option, site_of
from hubman.progress import Progress
from registry.errors import HubError, UsageError


@click.command()
@click.argument("refs", nargs=-1)
@click.option("-f", "--from", "lists", multiple=True, help="File with one reference a line, - for standard input.")
@click.option("--into", type=click.Path(path_type=Path), help="Folder for the files; by default one that hubman keeps.")
@click.option("--path", default="", help="Path below the folder, such as '{base}/{creator}/{name}'.")
@click.option("--file", "file", default="", help="Which file of a version: its number, its name, or a pattern.")
@click.option("--format", "format_", default="", help="SafeTensor, GGUF, PickleTensor, Diffusers, …")
@click.option("--size", type=click.Choice(["full", "pruned"]), help="Full or pruned weights.")
@click.option("--fp", default="", help="Precision: fp16, bf16, fp8, …")
@click.option("--quant", default="", help="Quantisation of a GGUF file: Q8_0, Q4_K_M, …")
@click.option("--type", "type_", default="", help="Type of file: Model, VAE, Config, 'Training Data', …")
@click.option("--all-files", is_flag=True, help="Every file that is a model, such as a pair for high and low noise.")
@click.option("--unpack", is_flag=True, help="Open an archive that holds models and nothing else of weight.")
@click.option("--limit-rate", default="", help="Bytes a second at most, such as 5M.")
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("--yes", is_flag=True, help="Carry the plan out without asking.")
@click.option("--detach", is_flag=True, help="Queue it and return at once.")
@sandbox_option
@output.json_option
def pull(
    refs: tuple[str, ...], lists: tuple[str, ...], into: Path | None, dry_run: bool, yes: bool, detach: bool,
    use_sandbox: bool, as_json: bool, **choices: Any,
) -> None:  # fmt: skip
    """Download REFS, verify them and add them to the library.

    REFS are addresses of pages (of a model, a version, a picture with its resources, a creator, a collection), download
    links, AIRs, version ids, model:ID, creator:NAME, collection:ID, or hashes. What is broken off goes on later.
    """
    from hubman.civitai import destination, pull_plan, queue, terms
    from hubman.civitai.session import connect

    choice = _choice(choices)
    destination.check(choice.path or "{name}")
    site = site_of(use_sandbox)
    with open_registry() as registry:
        with connect(config.home(), site) as client, output.progress(quiet=as_json) as report:
            wanted = [*refs, *_listed(lists, client.site)]
            if not wanted:
                raise UsageError("pull needs something to download", "give REFS, or a list of them by -f FILE")
            plan = pull_plan.make(
                registry, client, wanted, choice=choice, prefer=terms.preference(registry.home),
                into=into or terms.folder(registry), ask=None if as_json else _asker(),
                tell=lambda count: report(Progress(stage="look up", message=f"{count} files")),
            )  # fmt: skip
        if dry_run:
            _show(plan, as_json=as_json)
            return
        if plan.size > plan.free:
            raise HubError(
                f"{output.size(plan.size)} are to be downloaded, and {output.size(plan.free)} are free",
                "make room, or choose another folder by --into",
            )
        if not as_json and (plan.is_many or len(plan.lines) > len(wanted)):
            _show(plan, as_json=False)
        if plan.is_many and plan.wanted and not output.agreed(f"Download {len(plan.wanted)} files?", yes=yes):
            return
        items = queue.queued(registry, pull_plan.queue_entries(plan, site=site, into=into, choice=choice))
        if items and not detach:
            items = watch(registry, items, quiet=as_json)
        elif items:
            queue.start(registry)
        for line in plan.lost:
            click.echo(output.clean(f"{line.ref}: {line.skip}"), err=True)
        results(items, as_json=as_json, detached=detach)
        if plan.lost:
            raise HubError(f"{len(plan.lost)} of {len(wanted)} can't be had", "mend or leave out what is named above")


def _choice(choices: dict[str, Any]) -> Any:
    from hubman import rate
    from hubman.civitai.choosing import Choice

    return Choice(
        format=choices["format_"], size=choices["size"] or "", fp=choices["fp"], quant=choices["quant"],
        type=choices["type_"], file=choices["file"], all_files=choices["all_files"], path=choices["path"],
        unpack=choices["unpack"], rate=rate.parse(choices["limit_rate"]) if choices["limit_rate"] else 0,
    )  # fmt: skip


def _listed(lists: Sequence[str], site: str) -> list[str]:
    from hubman.civitai import ref_list

    found: list[str] = []
    for name in lists:
        if name == "-":
            found += ref_list.read(sys.stdin.read().splitlines(), "standard input", site=site)
        else:
            found += ref_list.read(Path(name).read_text(errors="replace").splitlines(), name, site=site)
    return found


def _asker() -> Any:
    """Asks which of several files on a terminal; None where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None

    def ask(version: Any, files: Sequence[Any]) -> Sequence[Any]:
        output.say(f"{version.model.name} {version.name} has {len(files)} files that serve:")
        for number, file in enumerate(files, 1):
            output.say(f"  {number}  {file.name} ({output.size(file.size)})")
        answer = click.prompt("Which one (0 for all)", type=click.IntRange(0, len(files)))
        return files if answer == 0 else [files[answer - 1]]

    return ask


def _show(plan: Any, *, as_json: bool) -> None:
    if as_json:
        output.print_json(plan)
        return
    output.table(
        [
            (line.model, line.version, line.file, output.size(line.size) if line.size else "", line.skip or line.note)
            for line in plan.lines
        ],
        ("model", "version", "file", "size", "left out because"),
    )
    left_out = len(plan.lines) - len(plan.wanted)
    click.echo(
        f"{len(plan.wanted)} files, {output.size(plan.size)}; {output.size(plan.free)} free"
        + (f"; {left_out} left out" if left_out else ""),
        err=True,
    )
