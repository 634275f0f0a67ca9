"""``hubman dataset check|show|sheet|leave|take``: the images of a data set, what is wrong with them, and which are trained."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from hubman import bases, config, tinybase
from hubman.cli import output
from hubman.cli.arguments import GivenPath
from registry.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from hubman.progress import Report
    from hubman.train.checks import Finding, Rules
    from hubman.train.data.dataset import Dataset, DatasetImage
    from hubman.train.recipe import Recipe

F = TypeVar("F", bound=Callable[..., Any])
FOLDER = GivenPath()
_MOST_NAMES = 6


class Asked(msgspec.Struct, frozen=True):
    """What the options say that the set is checked against."""

    base: str
    resolution: int | None
    trigger: str
    batch: int | None
    masks: str
    mask_folder: Path | None
    clip: str | None


def _asked_options(command: F) -> F:
    for option in reversed(
        (
            click.option("--base", default=bases.EMBEDDED, show_default=True, help="The base model to train on."),
            click.option("--resolution", type=click.IntRange(64, 4096), help="Instead of the base's own, in pixels."),
            click.option("--trigger", default="", help="The word that every caption should begin with."),
            click.option("--batch", type=click.IntRange(1, 1024), help="Instead of the preset's for the base."),
            click.option(
                "--masks", type=click.Choice(["none", "folder", "alpha"]), default="none", show_default=True,
                help="Where a mask says what is learned.",
            ),
            click.option("--clip", metavar="REF", help="Also compare the images by this CLIP; tiny is the embedded one."),
            click.option("--mask-folder", type=FOLDER, help="Masks by the images' names; by default masks in the set."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("check")
@click.argument("folder", type=FOLDER)
@_asked_options
@output.json_option
@click.pass_context
def dataset_check(ctx: click.Context, /, folder: Path, as_json: bool, **options: Any) -> None:
    """Find images and captions in FOLDER that would harm a training. Exit status 1 when one stops it."""
    from hubman.train.checks import has_errors, worth_leaving

    with output.progress(quiet=as_json) as report:
        found, findings, _ = _checked(folder, Asked(**options), report)
    leaving = worth_leaving(findings)
    if as_json:
        output.print_json(
            {
                "images": len(found.images),
                "usable": len(found.usable),
                "left_out": [image.name for image in found.images if image.left_out],
                "worth_leaving": leaving,
                "findings": findings,
            }
        )
    else:
        _say(folder, findings)
        output.say(f"{len(found.images)} images, {len(found.usable)} are trained, {len(findings)} findings")
        if leaving:
            words = shlex.join(["hubman", "dataset", "leave", str(folder), "--harmful", *_as_typed(options)])
            output.say(f"{words} leaves {len(leaving)} out that do harm or are twice there")
    ctx.exit(1 if has_errors(findings) else 0)


@click.command("show")
@click.argument("folder", type=FOLDER)
@_asked_options
@output.json_option
def dataset_show(folder: Path, as_json: bool, **options: Any) -> None:
    """List the images of FOLDER with size, bucket, repeats, state and caption."""
    from hubman.train.recipe_data import read_data, rules_for

    recipe = _recipe(folder, Asked(**options))
    with output.progress(quiet=as_json) as report:
        found = read_data(recipe, config.home(), report)
    rules = rules_for(recipe)
    rows = [_row(image, rules) for image in found.images]
    if as_json:
        output.print_json(rows)
        return
    columns = ("image", "size", "bucket", "kept", "repeats", "mask", "state", "caption")
    output.table([[row[name] for name in columns] for row in rows], columns)


@click.command("sheet")
@click.argument("folder", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="The PNG to write.")
@_asked_options
@output.json_option
def dataset_sheet(folder: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Draw a contact sheet of FOLDER: each image with what its bucket cuts off and what the checks found."""
    from hubman.train.data.sheet import write_sheet

    if out.suffix.lower() != ".png":
        raise UsageError(f"{out.name} is no PNG", "give a name that ends in .png")
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{out.name} would lie among the images, and be trained", "write it outside of the folder")
    with output.progress(quiet=as_json) as report:
        found, findings, rules = _checked(folder, Asked(**options), report)
        write_sheet(out, found, findings, rules, report)
    if as_json:
        output.print_json({"sheet": out, "images": len(found.images)})
    else:
        output.say(f"{out}: {len(found.images)} images")


@click.command("leave")
@click.argument("folder", type=FOLDER)
@click.argument("images", nargs=-1)
@click.option(
    "--harmful", is_flag=True, help="Those that the checks find damaged, far too small, blurred or twice there."
)
@click.option("--with", "codes", multiple=True, metavar="CODE", help="Those with this finding, such as watermark.")
@_asked_options
@output.json_option
def dataset_leave(
    folder: Path, images: tuple[str, ...], harmful: bool, codes: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Leave IMAGES of FOLDER out of training. No file is touched; ``hubman dataset take`` takes them back."""
    from hubman.train.checks import worth_leaving
    from hubman.train.data.left_out import leave

    names = [_name(folder, given) for given in images]
    if harmful or codes:
        with output.progress(quiet=as_json) as report:
            _, findings, _ = _checked(folder, Asked(**options), report)
        names += worth_leaving(findings) if harmful else ()
        names += [finding.image for finding in findings if finding.image and finding.code in codes]
    elif not names:
        raise UsageError("there is nothing to leave out", "name images, or say --harmful or --with CODE")
    none = "all of them are left out already" if names else "the checks find no such image"
    _say_changed(leave(folder, names), "left out", none, as_json=as_json)


@click.command("take")
@click.argument("folder", type=FOLDER)
@click.argument("images", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that are left out.")
@output.json_option
def dataset_take(folder: Path, images: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Take IMAGES of FOLDER back into training that were left out."""
    from hubman.train.data.left_out import left_out, take

    if not images and not everything:
        raise UsageError("there is nothing to take back", "name images, or say --all")
    names = sorted(left_out(folder)) if everything else [_name(folder, given) for given in images]
    none = "none of them is left out" if names else "no image is left out"
    _say_changed(take(folder, names), "taken back", none, as_json=as_json)


def _as_typed(options: dict[str, Any]) -> list[str]:
    """The options that were given, as words of a command line: what is harmful depends on them."""
    given = {name: value for name, value in options.items() if value not in (None, "", "none", bases.EMBEDDED)}
    return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def _checked(folder: Path, asked: Asked, report: Report) -> tuple[Dataset, tuple[Finding, ...], Rules]:
    from hubman.train.recipe_data import check_data, read_data, rules_for

    recipe, home = _recipe(folder, asked), config.home()
    found = read_data(recipe, home, report)
    if asked.clip is not None:
        _compare(found, asked.clip, report)
    return found, check_data(recipe, found, home), rules_for(recipe)


def _compare(found: Dataset, clip: str, report: Report) -> None:
    """Let CLIP compare the images; the checks read what it said."""
    from hubman.train.captioning import local_models
    from hubman.train.captioning.drafts import CLIP_FILES

    embedded = clip in {bases.EMBEDDED, tinybase.NAME}
    folder = tinybase.CLIP if embedded else local_models.find(clip, CLIP_FILES, "the CLIP model")
    try:
        from hubman.train.data.likeness import compare
    except ImportError as error:
        raise MissingExtraError("comparing images by CLIP needs torch", "pip install 'hubman[ml]'") from error
    compare(found, folder, config.home(), report)


def _recipe(folder: Path, asked: Asked) -> Recipe:
    """The preset for the base, with what the options say of it."""
    from hubman.train.presets import preset
    from hubman.train.recipe_fields import changed

    if asked.mask_folder and asked.masks == "alpha":
        raise UsageError("masks are in a folder or in the alpha channel", "leave out --mask-folder or --masks alpha")
    base = bases.find(asked.base)
    masks = "folder" if asked.mask_folder else asked.masks
    told = {
        "trigger": asked.trigger,
        "images.masks": masks,
        "images.mask_folder": str(asked.mask_folder or ""),
        "loss.masked": masks != "none",
        "length.batch": asked.batch,
        "images.resolutions": (asked.resolution,) if asked.resolution else None,
    }
    recipe = preset("style", bases.family(base), 50, base=str(base), dataset=str(folder))
    return changed(recipe, {field: value for field, value in told.items() if value})


def _row(image: DatasetImage, rules: Rules) -> dict[str, Any]:
    picture = image.picture
    row: dict[str, Any] = {"image": image.name, "size": "", "bucket": "", "kept": "", "repeats": image.repeats}
    if not picture.error:
        cut = rules.cut((picture.width, picture.height))
        row |= {
            "size": f"{picture.width}x{picture.height}",
            "bucket": "x".join(map(str, cut.bucket)),
            "kept": f"{cut.kept:.0%}",
        }
    row["mask"] = image.mask_path.name if image.mask_path else ""
    row["state"] = "left out" if image.left_out else "damaged" if picture.error else "trained"
    return row | {"caption": image.caption}


def _name(folder: Path, given: str) -> str:
    """An image's name in the set: as it is listed, or as a path that a shell completed."""
    path = Path(given)
    if not path.is_absolute() and (folder / given).exists():
        return path.as_posix()
    here = folder.absolute()
    return path.absolute().relative_to(here).as_posix() if path.absolute().is_relative_to(here) else path.as_posix()


def _say(folder: Path, findings: Sequence[Finding]) -> None:
    """A line for each finding; what is said of several images alike is said once."""
    grouped: dict[tuple[str, str, str, str], list[str]] = {}
    for finding in findings:
        key = (finding.severity, finding.code, finding.sentence, finding.remedy)
        grouped.setdefault(key, []).append(finding.image or folder.absolute().name)
    for (severity, code, sentence, remedy), names in grouped.items():
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        output.say(f"{severity:<6} {code}: {', '.join(names[:_MOST_NAMES])}{more}: {sentence}; {remedy}")


def _say_changed(names: Sequence[str], what: str, none: str, *, as_json: bool) -> None:
    """``none`` says why there are no ``names``."""
    if as_json:
        output.print_json({what.replace(" ", "_"): names})
        return
    for name in names:
        output.say(f"{name} is {what}")
    if not names:
        output.say(f"nothing to do: {none}")


COMMANDS = (dataset_check, dataset_show, dataset_sheet, dataset_leave, dataset_take)
