"""The command that writes a LoRA in another format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubman import bases
from hubman.cli import output
from hubman.cli.arguments import GivenPath
from hubman.cli.library import open_registry
from registry import library, scan
from registry.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from hubman.lora.forms import Format

_ENDINGS = {"kohya": ".kohya.safetensors", "diffusers": ".diffusers.safetensors", "peft": ".peft"}


@click.command()
@click.argument("file", type=GivenPath())
@click.option("--to", type=click.Choice(list(_ENDINGS)), required=True, help="The format that is written.")
@click.option("--out", type=GivenPath(), help="Where to; by default beside FILE. For peft a folder.")
@click.option("--base", type=GivenPath(), help="The base that FILE is for, where its names don't tell, or for --bake.")
@click.option("--bake", type=click.IntRange(1, 1024), metavar="RANK", help="Make it a plain LoRA; needs --base.")
@output.json_option
def convert(file: Path, to: Format, out: Path | None, base: Path | None, bake: int | None, as_json: bool) -> None:
    """Write the LoRA in FILE in another format, with the same effect.

    kohya is what every program loads; diffusers and peft are what those libraries write. A DoRA, LoHa, LoKr or OFT can
    be baked into a plain LoRA, as near as RANK allows. Nothing is written before it was read back and compared.
    """
    from hubman.lora.convert import convert as write
    from hubman.lora.names import files_of, names_for

    if bake and not base:
        raise UsageError("--bake needs the weights of the base", "add --base BASE")
    file = _found(file)
    target = out or file.with_name(file.name.removesuffix(".safetensors") + _ENDINGS[to])
    if target.exists():  # before a base is loaded
        raise UsageError(f"{target} is there already", "name another file with --out")
    done = write(file, to, target, names_for(files_of(file), bases.find(str(base)) if base else None), bake=bake or 0)
    _register(file, done.files)
    if as_json:
        output.print_json(done)
        return
    for path in done.files:
        output.say(f"wrote {path}")
    kept = f", {done.kept:.2%} of the change kept" if bake else ""
    output.say(f"{done.modules} modules, largest error {done.error:.1e}{kept}")


def _found(file: Path) -> Path:
    """``file``, or the file of the model that the library calls so."""
    if file.exists():
        return file
    with open_registry() as registry:
        try:
            known = library.version(registry, library.resolve(registry, str(file))[1])
        except NotFoundError:
            known = None
    places = [place.path for each in known.files for place in each.places if place.state == "present"] if known else []
    if not places:
        raise UsageError(
            f"{file} is not there",
            "give the path of a LoRA file or of a folder that PEFT wrote, or a name of hubman ls",
        )
    return Path(places[0])


def _register(source: Path, made: Sequence[Path]) -> None:
    """Where the library knows the source, it knows the file that was made of it, with its words and permissions."""
    from hubman.lora.derive.register import register

    if source.is_dir() or len(made) != 1:
        return
    with open_registry() as registry:
        try:
            parent = scan.hashed(registry, library.resolve(registry, str(source.absolute()))[1])
        except NotFoundError:
            return
        register(registry, made[0], "converted", [parent])
