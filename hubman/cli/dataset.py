"""``hubman dataset``: training images, checked and captioned."""

from __future__ import annotations

from pathlib import Path

import click

from hubman import bases
from hubman.cli import output
from hubman.cli.work import run

FOLDER = click.Path(path_type=Path)


@click.group()
def dataset() -> None:
    """Training images: check them, caption them, look at them."""


@dataset.command("check")
@click.argument("folder", type=FOLDER)
@click.option("--trigger", default="", help="The word that every caption should begin with.")
@click.option("--base", default=bases.EMBEDDED, show_default=True, help="The base model that will be trained on.")
@output.json_option
@click.pass_context
def dataset_check(ctx: click.Context, folder: Path, trigger: str, base: str, as_json: bool) -> None:
    """Find images and captions in FOLDER that would harm a training. Exit status 1 when one stops it."""
    from hubman.train.checks import Rules, check, has_errors
    from hubman.train.dataset import read_dataset
    from hubman.train.presets import preset

    resolution = preset("style", bases.family(bases.find(base)), 30).resolution
    with output.progress(quiet=as_json) as report:
        found = read_dataset(folder, report=report)
        findings = check(found, Rules(resolution=resolution, trigger=trigger))
    if as_json:
        output.print_json({"images": len(found.images), "findings": findings})
    else:
        for finding in findings:
            output.say(f"{finding.severity:<6} {finding.image or folder.name}: {finding.sentence}; {finding.remedy}")
        output.say(f"{len(found.images)} images, {len(findings)} findings")
    ctx.exit(1 if has_errors(findings) else 0)


@dataset.command("show")
@click.argument("folder", type=FOLDER)
@output.json_option
def dataset_show(folder: Path, as_json: bool) -> None:
    """List the images of FOLDER with their sizes and captions."""
    from hubman.train.dataset import read_dataset

    found = read_dataset(folder)
    if as_json:
        output.print_json([{"image": each.path.name, "caption": each.caption} for each in found.images])
        return
    output.table([(each.path.name, each.caption or "") for each in found.images], ("image", "caption"))


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
