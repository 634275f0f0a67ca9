"""The commands that make things: dataset, train, generate, sweep, combine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from hubman import bases, tinybase
from hubman.cli import caption_editing, captioning, output
from hubman.cli.library import open_registry
from hubman.cli.work import conclude, follow
from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.train.recipe import Kind
from registry import library, scan
from registry.database import Registry
from registry.errors import NotFoundError, UsageError

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
    from hubman.train.presets import FAMILIES

    resolution = FAMILIES[bases.family(bases.find(base))].resolution
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


for _command in (captioning.dataset_caption, *caption_editing.COMMANDS):
    dataset.add_command(_command)


@click.command()
@click.argument("recipe", required=False, type=FOLDER)
@click.option("--dataset", "data", type=FOLDER, help="Folder of images with captions.")
@click.option(
    "--base", default=bases.EMBEDDED, show_default=True, help="The base model: a path, or tiny for the embedded one."
)
@click.option(
    "--preset", "kind", type=click.Choice(["style", "character", "concept"]), default="style", show_default=True
)
@click.option("--name", help="What to call the LoRA; by default the folder's name.")
@click.option("--trigger", default="", help="The word that calls it in a prompt.")
@click.option("--steps", type=click.IntRange(1), help="Optimizer steps, instead of the preset's.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--force", is_flag=True, help="Train in spite of errors in the dataset; broken images are left out.")
@click.option("--detach", is_flag=True, help="Start the job and return at once.")
@click.option("--resume", is_flag=True, help="Go on with the last training that failed or was cancelled.")
def train(recipe: Path | None, data: Path | None, detach: bool, resume: bool, **choices: Any) -> None:
    """Train a LoRA: from RECIPE (a TOML file), or from --dataset, --base and --preset."""
    if resume:
        job = _last_unfinished("train")
        with open_registry() as registry:
            job = store.resume(registry, job.id)
    else:
        job = _start_training(recipe, data, choices)
    output.say(f"job {job.id[-6:]}: {job.title}")
    if not detach:
        ended = follow(job)
        conclude(ended)
        output.say(f"trained {(ended.result or {}).get('path')}")


def _start_training(recipe: Path | None, data: Path | None, choices: dict[str, Any]) -> Job:
    from hubman.train.recipe import read_recipe

    if (recipe is None) == (data is None):
        raise UsageError(
            "a training needs a recipe or a dataset", "hubman train RECIPE.toml, or hubman train --dataset DIR"
        )
    with open_registry() as registry:
        if recipe is not None:
            chosen = read_recipe(recipe)
            request = {"recipe": str(recipe.absolute()), "force": choices["force"]}
            return store.start(registry, "train", f"train {chosen.output}", request)
        assert data is not None  # noqa: S101 - one of the two is there
        return _start_from_preset(registry, data, **choices)


def _start_from_preset(
    registry: Registry,
    data: Path,
    *,
    base: str,
    kind: Kind,
    name: str | None,
    trigger: str,
    steps: int | None,
    seed: int,
    force: bool,
) -> Job:
    from hubman.train.dataset import image_files
    from hubman.train.presets import REASONS, preset
    from hubman.train.start import start

    base_path = bases.find(base)
    images = image_files(data)
    recipe = preset(
        kind,
        bases.family(base_path),
        len(images),
        base=str(base_path),
        dataset=str(data.absolute()),
        output=name or data.absolute().name,
    )
    changes: dict[str, Any] = {"trigger": trigger, "seed": seed} | ({"steps": steps} if steps else {})
    if steps:
        changes["epochs"] = min(recipe.epochs, steps)
    return start(registry, msgspec.structs.replace(recipe, **changes), REASONS, force=force)


def _last_unfinished(kind: str) -> Job:
    with open_registry() as registry:
        for job in store.latest(registry):
            if job.kind == kind and job.state in {"failed", "cancelled"}:
                return job
    raise NotFoundError(f"no {kind} job failed or was cancelled", "hubman jobs lists them")


def run_job(kind: str, title: str, request: dict[str, Any]) -> Job:
    """Start a job, watch it to its end, and return it. Raises :class:`HubError` unless it is done."""
    with open_registry() as registry:
        job = store.start(registry, kind, title, request)
    ended = follow(job)
    if ended.state != "done":
        conclude(ended)
    return ended


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
            click.option("--sampler", default="DDIM", show_default=True, help="A1111's name of a sampler."),
        )
    ):
        command = option(command)
    return command


def _request(choices: dict[str, Any]) -> dict[str, Any]:
    """What the drawing options say, for a job; a seed of 0 and the base's own guidance when nothing was said."""
    base = bases.find(choices.pop("base"))
    cfg = choices.pop("cfg")
    default_cfg = tinybase.GUIDANCE if base == tinybase.MODEL else 7.0
    return {
        **choices,
        "base": str(base),
        "seeds": list(choices.pop("seeds")) or [0],
        "cfg": default_cfg if cfg is None else cfg,
    }


@click.command()
@click.argument("prompt")
@_drawing_options
@click.option("--size", help="WIDTHxHEIGHT in pixels; by default the base's own.")
@output.json_option
def generate(prompt: str, size: str | None, as_json: bool, **choices: Any) -> None:
    """Draw PROMPT, which may hold ``<lora:name:0.8>`` tags. Each picture carries its settings, as A1111 writes them."""
    request = {"prompt": prompt, **_request(choices), **_sides(size)}
    ended = run_job("generate", f"draw {prompt[:40]}", request)
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
    ended = run_job("sweep", f"sweep {' x '.join(refs)}", request)
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
