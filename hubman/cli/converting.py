"""The command that writes a LoRA in another format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubman.cli import output
from hubman.cli.arguments import GivenPath
from registry.errors import UsageError

if TYPE_CHECKING:
    from hubman.lora.convert import Names
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

    if bake and not base:
        raise UsageError("--bake needs the weights of the base", "add --base BASE")
    if not file.exists():
        raise UsageError(f"{file} is not there", "give the path of a LoRA file, or of a folder that PEFT wrote")
    target = out or file.with_name(file.name.removesuffix(".safetensors") + _ENDINGS[to])
    done = write(file, to, target, _names(file, base), bake=bake or 0)
    if as_json:
        output.print_json(done)
        return
    for path in done.files:
        output.say(f"wrote {path}")
    kept = f", {done.kept:.2%} of the change kept" if bake else ""
    output.say(f"{done.modules} modules, largest error {done.error:.1e}{kept}")


def _names(file: Path, base: Path | None) -> Names:
    from hubman.lora.convert import ADAPTER, Names

    if base:
        from hubman.generate.pipeline import load_base
        from hubman.train.architectures.fused import reordered

        loaded = load_base(base)
        identity = loaded.model.identity
        return Names(
            base=loaded.name,
            sites=tuple(loaded.modules),
            weight_of=loaded.weight_of,
            parts=tuple({site: None for site in loaded.table.values() if site.of}),
            originals=loaded.model.original_names,
            reordered=frozenset(reordered(loaded.model.denoiser)),
            header={
                "ss_base_model_version": identity.base_model_version,
                "ss_v2": str(identity.v2),
                "modelspec.sai_model_spec": "1.0.1",
                "modelspec.architecture": identity.modelspec,
                "modelspec.implementation": identity.implementation,
            },
        )
    from hubman.lora.trees import sites_of_architecture
    from registry.headers import read_header
    from registry.identify import identify

    files = sorted(file.rglob(ADAPTER)) if file.is_dir() else [file]
    if not files:
        raise UsageError(f"{file} holds no {ADAPTER}", "give a LoRA file, or a folder that PEFT wrote")
    # Of a folder with one file a component, the text encoder's alone does not tell.
    found = (identify(read_header(each)).architecture for each in files)
    architecture = next(filter(None, found), "")
    return Names(architecture, sites_of_architecture(architecture))
