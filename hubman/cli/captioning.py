"""``hubman dataset caption``: first drafts of captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from hubman.cli import output
from hubman.cli.arguments import GivenPath
from hubman.cli.work import run

SHARE = click.FloatRange(0, 1)


@click.command("caption")
@click.argument("folder", type=GivenPath())
@click.option(
    "--with",
    "source",
    type=click.Choice(["interrogator", "tagger", "model"]),
    default="interrogator",
    show_default=True,
    help="CLIP with word lists, a WD14-style tagger, or an image-to-text model.",
)
@click.option("--model", default="", metavar="REF", help="The tagger, the image-to-text model, or who begins for CLIP.")
@click.option("--clip", default="", metavar="REF", help="The interrogator's CLIP model; by default the embedded one.")
@click.option("--terms", default="", metavar="PATH", help="Its word lists: a JSON file, or a folder of text files.")
@click.option(
    "--mode",
    type=click.Choice(["best", "fast", "classic", "negative"]),
    default="best",
    show_default=True,
    help="How the interrogator chooses; negative only shows what the pictures are least like.",
)
@click.option("--prompt", default="", help="What the image-to-text model is asked.")
@click.option("--threshold", "general", type=SHARE, default=0.35, show_default=True, help="From where a tag is taken.")
@click.option("--character-threshold", "character", type=SHARE, default=0.85, show_default=True)
@click.option("--trigger", default="", help="The word that every caption begins with.")
@click.option("--prefix", default="", help="What stands before each draft; end it with a comma where it is a tag.")
@click.option("--suffix", default="", help="What stands after each draft.")
@click.option("--blacklist", multiple=True, metavar="TAGS", help="Tags that are left out, with commas between them.")
@click.option("--force-drafts", "redraft", is_flag=True, help="Draft again what a draft wrote.")
@output.json_option
def dataset_caption(folder: Path, terms: str, blacklist: tuple[str, ...], as_json: bool, **choices: Any) -> None:
    """Draft a caption for each image of FOLDER that has none; what you typed or edited is never overwritten.

    A model REF is a folder, or its name in the local cache of Hugging Face, such as SmilingWolf/wd-vit-tagger-v3;
    nothing is downloaded.
    """
    from hubman.train.captioning.drafts import DraftRequest, check

    request = DraftRequest(
        folder=str(folder.absolute()),
        terms=str(Path(terms).expanduser().absolute()) if terms else "",
        blacklist=tuple(tag.strip() for tags in blacklist for tag in tags.split(",") if tag.strip()),
        **{**choices, **{name: _whole(choices[name]) for name in ("model", "clip")}},
    )
    check(request)
    result = run("caption", f"caption {folder.absolute().name}", msgspec.to_builtins(request)).result or {}
    if as_json:
        output.print_json(result)
        return
    for name, text in result.get("texts", {}).items():
        output.say(f"{name}: {text}")
    for name, why in result.get("problems", {}).items():
        output.say(f"{name}: {why}; not captioned")
    idle = not any(result.get(name) for name in ("written", "texts", "problems"))
    why = "; each image has one already" if idle else ""
    output.say(f"{result.get('written', 0)} captions written{why}")


def _whole(ref: str) -> str:
    """The job runs in another folder: a path that is there becomes a whole one, a name stays."""
    path = Path(ref).expanduser()
    return str(path.absolute()) if ref and path.exists() else ref
