"""The commands about pictures on disk: which folders are watched, and what was drawn with which model."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import msgspec

from hubman.cli import output
from hubman.cli.arguments import GivenPath, preset_option
from hubman.cli.library import open_registry
from hubman.progress import Progress
from registry.usage_match import Unmatched


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """A program that was found, and where it puts its pictures."""

    preset: str
    base: Path
    folders: tuple[Path, ...]


@click.group()
def images() -> None:
    """Folders of pictures, whoever drew them: hubman reads what they were drawn with and changes nothing in them."""


@images.command("add")
@click.argument("folder", type=GivenPath())
@preset_option
@output.json_option
def images_add(folder: Path, preset: str | None, as_json: bool) -> None:
    """Watch FOLDER, or the folders of pictures of the program in it; then run ``hubman images scan``."""
    from registry import image_folders, webui_outputs

    with open_registry() as registry:
        wanted = [folder] if preset is None else webui_outputs.outputs(preset.lower(), folder)
        with registry.transaction():
            watched = list(dict.fromkeys(image_folders.add(registry, one) for one in wanted))
    if as_json:
        output.print_json(watched)
        return
    for one in watched:
        output.say(f"{one} is watched")
    output.say("hubman images scan looks at what is in there")


@images.command("find")
@output.json_option
def images_find(as_json: bool) -> None:
    """Look in the usual places for the folders where other programs put their pictures. Adds none."""
    from registry import webui_outputs, webui_search
    from registry.errors import UsageError

    found = []
    for one in webui_search.find(Path.home()):
        try:
            folders = tuple(webui_outputs.outputs(one.preset, one.base))
        except UsageError:
            continue
        found.append(Outputs(preset=one.preset, base=one.base, folders=folders))
    if as_json:
        output.print_json(found)
        return
    if not found:
        click.echo("none found: hubman images add DIR takes any folder", err=True)
    for program in found:
        output.say(f"{program.base}: hubman images add --preset {program.preset} {shlex.quote(str(program.base))}")
        for folder in program.folders:
            output.say(f"  {folder}")


@images.command("rm")
@click.argument("folder", type=GivenPath())
@click.option("--forget", is_flag=True, help="Count the pictures that lie only there no more.")
@output.json_option
def images_rm(folder: Path, forget: bool, as_json: bool) -> None:
    """Watch FOLDER no more. What its pictures told stays counted, unless you say otherwise."""
    from registry import image_folders

    with open_registry() as registry:
        count = image_folders.remove(registry, folder, forget=forget)
    if as_json:
        output.print_json({"folder": folder, "forgotten": count})
    else:
        output.say(f"{folder} is no longer watched" + (f", {count} pictures count no more" if forget else ""))


@images.command("ls")
@output.json_option
def images_ls(as_json: bool) -> None:
    """List the watched folders."""
    from registry import image_folders

    with open_registry() as registry:
        found = image_folders.all_folders(registry)
    if as_json:
        output.print_json(found)
    else:
        output.table(
            [(one.path, one.pictures, one.told, "" if one.is_here else "away") for one in found],
            ("folder", "pictures", "tell", ""),
        )


@images.command("scan")
@click.argument("folders", nargs=-1, type=GivenPath())
@output.json_option
def images_scan(folders: tuple[Path, ...], as_json: bool) -> None:
    """Look at new and changed pictures in FOLDERS, which are watched from then on, or in all that are.

    PNG, JPEG and WebP are looked at. Hidden folders and those below FOLDERS whose name ends in -grids are left out:
    what A1111 keeps there are the same pictures once more.
    """
    from hubman.images import scanning

    with open_registry() as registry, output.progress(quiet=as_json) as report:
        found = scanning.scan(
            registry,
            lambda done, total: report(Progress(stage="looking", done=done, total=total, unit="pictures")),
            folders or None,
        )
    if as_json:
        output.print_json(found)
        return
    for problem in found.problems:
        output.say(f"{problem.path} {problem.reason}")
    several = [one for one in found.unmatched if one.problem]
    for one in several[:_SHOWN]:
        output.say(f"{_called(one)} counts for none: it {one.problem}")
    output.say(
        f"{found.read} read, {found.told} of them tell what they were drawn with, {found.new} new, {found.gone} gone, "
        f"{found.unchanged} unchanged"
    )
    if found.unmatched:
        output.say(
            f"{len(found.unmatched)} names fit no file or several, {len(several)} of them several: "
            "hubman images unmatched lists them"
        )


_SHOWN = 5


def _called(one: Unmatched) -> str:
    return f"{one.kind} {one.name or one.hash or 'by its number'}"


@images.command("unmatched")
@output.json_option
def images_unmatched(as_json: bool) -> None:
    """What pictures name and no single file fits, the most frequent first. Files that are indexed later are matched then."""
    from registry import usage_match

    with open_registry() as registry:
        found = usage_match.unmatched(registry)
    if as_json:
        output.print_json(found)
    else:
        output.table(
            [(one.name, one.kind, one.hash[:12], one.times, one.problem or "no such file") for one in found],
            ("name", "kind", "hash", "pictures", "why"),
        )


@images.command("show")
@click.argument("picture", type=GivenPath())
@click.option("--by-hash", is_flag=True, help="Where a LoRA's name and hash mean different files, take the hash.")
@output.json_option
def images_show(picture: Path, by_hash: bool, as_json: bool) -> None:
    """What PICTURE was drawn with, in A1111's words whoever drew it, and which files here its LoRAs mean.

    A name of this machine beats a hash that points elsewhere: anyone can write a hash into a picture.
    """
    from hubman.generate.importing import find_lora, tell_of

    told = tell_of(picture)
    with open_registry() as registry:
        found = [find_lora(registry, lora, trust_hash=by_hash) for lora in told.loras]
    if as_json:
        files = [
            {"name": lora.name, **msgspec.structs.asdict(one)} for lora, one in zip(told.loras, found, strict=True)
        ]
        output.print_json({"told": told, "files": files})
        return
    fields = msgspec.structs.asdict(told)
    for name, value in fields.items():
        if value not in ("", None, ()) and name not in {"loras", "remarks"}:
            output.say(f"{name:<11} {value}")
    for lora, one in zip(told.loras, found, strict=True):
        where = (one.sha256 or "")[:12] or one.problem or "not on this machine"
        doubt = ", its hash is of another file" if one.elsewhere else ""
        te = "" if lora.te_strength is None else f", text encoder {lora.te_strength:g}"
        output.say(f"lora        {lora.name} {lora.strength:g}{te}: {where}{doubt}")
    for remark in told.remarks:
        output.say(f"! {remark}")


@images.command("copy")
@click.argument("picture", type=GivenPath())
@click.argument("out", type=GivenPath())
@output.json_option
def images_copy(picture: Path, out: Path, as_json: bool) -> None:
    """Write PICTURE to OUT, a PNG, JPEG or WebP by its ending, with its infotext as other programs read it."""
    from hubman.generate.pictures import save_copy
    from registry.errors import UsageError

    if out.exists():
        raise UsageError(f"{out} is there already", "choose another name")
    save_copy(picture, out)
    if as_json:
        output.print_json({"path": out})
    else:
        output.say(str(out))


@images.command("uses")
@click.argument("ref")
@click.option("--most", type=click.IntRange(min=1), help="Only so many, the latest.")
@output.json_option
def images_uses(ref: str, most: int | None, as_json: bool) -> None:
    """The pictures that were drawn with the model REF, the latest first."""
    from registry import library, usage_profile

    with open_registry() as registry:
        model = library.resolve(registry, ref)[0]
        found = usage_profile.pictures(registry, model, -1 if most is None else most)
    if as_json:
        output.print_json(found)
        return
    if not found:
        click.echo("no picture was drawn with it: hubman images scan looks for some", err=True)
    output.table(
        [
            (
                one.path,
                one.made_at[:10],
                "" if one.strength is None else f"{one.strength:g}",
                one.prompt,
                "" if one.is_here else "gone",
            )
            for one in found
        ],
        ("picture", "date", "strength", "prompt", ""),
    )
