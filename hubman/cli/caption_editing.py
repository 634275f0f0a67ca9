"""``hubman dataset tags|replace|tag|tidy|undo``: the captions of a whole dataset, edited and taken back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubman.cli import output
from hubman.cli.arguments import GivenPath
from registry.errors import UsageError

if TYPE_CHECKING:
    from hubman.train.captioning.caption_edits import Plan
    from hubman.train.captioning.tags import Place, Rewrite

FOLDER = GivenPath()
_SIGNED = {"ignore_unknown_options": True}
dry_run = click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")


@click.command("tags")
@click.argument("folder", type=FOLDER)
@click.argument("text", default="")
@output.json_option
def dataset_tags(folder: Path, text: str, as_json: bool) -> None:
    """Count the tags in the captions of FOLDER, the commonest first; with TEXT, those that have it in them."""
    from hubman.train.captioning.caption_edits import tag_counts

    counts = [found for found in tag_counts(folder) if text.lower() in found.tag.lower()]
    if as_json:
        output.print_json(counts)
    else:
        output.table([(found.count, found.tag) for found in counts], ("images", "tag"))


@click.command("replace", context_settings=_SIGNED)
@click.argument("folder", type=FOLDER)
@click.argument("old")
@click.argument("new")
@click.option("--regex", is_flag=True, help=r"OLD is a regular expression, \1 in NEW its first group.")
@click.option("--ignore-case", is_flag=True, help="Upper and lower case are the same in OLD.")
@dry_run
@output.json_option
def dataset_replace(
    folder: Path, old: str, new: str, regex: bool, ignore_case: bool, dry_run: bool, as_json: bool
) -> None:
    """Put NEW for OLD in every caption of FOLDER."""
    from hubman.train.captioning.tags import replacing

    rewrite = replacing(old, new, regex=regex, ignore_case=ignore_case)
    _edit(folder, f"replace {old!r} by {new!r}", rewrite, dry_run=dry_run, as_json=as_json)


@click.command("tag", context_settings=_SIGNED)
@click.argument("folder", type=FOLDER)
@click.argument("changes", nargs=-1, metavar="[+TAG|-TAG]...")
@click.option("--rename", nargs=2, metavar="OLD NEW", help="Write the tag NEW in the place of OLD.")
@click.option(
    "--at",
    type=click.Choice(["start", "end", "trigger"]),
    default="end",
    show_default=True,
    help="Where a new tag goes; trigger means right after the trigger word.",
)
@click.option("--trigger", default="", help="The trigger word, for --at trigger.")
@dry_run
@output.json_option
def dataset_tag(
    folder: Path,
    changes: tuple[str, ...],
    rename: tuple[str, str] | None,
    at: Place,
    trigger: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add (+) and remove (-) tags in every caption of FOLDER, or rename one; in one step, that one undo takes back."""
    from hubman.train.captioning import tags

    rewrites: list[Rewrite] = []
    for change in changes:
        if change[:1] not in {"+", "-"} or not change[1:].strip():
            raise UsageError(f"{change!r} is neither +TAG nor -TAG", "write for example +sky -watermark")
    if at == "trigger" and not trigger:
        raise UsageError("a tag after the trigger needs the trigger", "say --trigger WORD")
    if gone := [change[1:] for change in changes if change[0] == "-"]:
        rewrites.append(tags.removing(gone))
    if rename:
        rewrites.append(tags.renaming(*rename))
    if new := [change[1:] for change in changes if change[0] == "+"]:
        rewrites.append(tags.adding(new, at, trigger))
    if not rewrites:
        raise UsageError("there is no tag to add, remove or rename", "write for example +sky -watermark")
    said = " ".join([*changes, *(f"{old}={new}" for old, new in ([rename] if rename else []))])
    _edit(folder, f"tags {said}", tags.in_turn(rewrites), dry_run=dry_run, as_json=as_json)


@click.command("tidy")
@click.argument("folder", type=FOLDER)
@click.option("--sort", is_flag=True, help="Put the tags in the order of the alphabet.")
@click.option("--keep", type=click.IntRange(0), default=1, show_default=True, help="Tags at the front that stay there.")
@dry_run
@output.json_option
def dataset_tidy(folder: Path, sort: bool, keep: int, dry_run: bool, as_json: bool) -> None:
    """Take tags that stand twice out of every caption of FOLDER, and needless blanks and commas."""
    from hubman.train.captioning.tags import tidying

    what = "sort tags" if sort else "remove doubled tags"
    _edit(folder, what, tidying(sort=sort, keep=keep), dry_run=dry_run, as_json=as_json)


@click.command("undo")
@click.argument("folder", type=FOLDER)
@click.option("--list", "only_list", is_flag=True, help="Show the edits that can be undone, the next one first.")
@output.json_option
def dataset_undo(folder: Path, only_list: bool, as_json: bool) -> None:
    """Take the last edit of FOLDER's captions back, also one that was made on another day. Repeat to go further."""
    from hubman.train.captioning import caption_edits

    if only_list:
        edits = [{"what": what, "captions": count} for what, count in caption_edits.undoable(folder)]
        if as_json:
            output.print_json(edits)
        else:
            output.table([(edit["captions"], edit["what"]) for edit in edits], ("captions", "edit"))
        return
    undone = caption_edits.undo(folder)
    if as_json:
        output.print_json(undone)
        return
    output.say(f"undone: {undone.what}; {len(undone.restored)} captions as before")
    _say_passed_over(undone.passed_over)


def _edit(folder: Path, what: str, rewrite: Rewrite, *, dry_run: bool, as_json: bool) -> None:
    from hubman.train.captioning import caption_edits

    plan = caption_edits.plan(folder, what, rewrite)
    outcome = None if dry_run else caption_edits.apply(plan)
    passed_over = outcome.passed_over if outcome else ()
    if as_json:
        output.print_json(_told(plan, done=not dry_run, passed_over=passed_over))
        return
    for each in plan.wanted if dry_run else ():
        for line in (_name(plan, each.image), f"  - {each.before}", f"  + {each.after}"):
            output.say(line)
    changed = len(plan.wanted) - len(passed_over)
    output.say(f"{changed} captions {'would change' if dry_run else 'changed'}")
    _say_passed_over(passed_over)
    for names, why in ((plan.uncaptioned, "no caption yet"), (plan.unreadable, "a caption that can't be read")):
        if names:
            output.say(f"left alone for {why}: {', '.join(names)}")


def _told(plan: Plan, *, done: bool, passed_over: tuple[str, ...]) -> dict[str, Any]:
    return {
        "what": plan.what,
        "done": done,
        "changes": [
            {"image": _name(plan, each.image), "before": each.before, "after": each.after}
            for each in plan.wanted
            if _name(plan, each.image) not in passed_over
        ],
        "passed_over": passed_over,
        "uncaptioned": plan.uncaptioned,
        "unreadable": plan.unreadable,
    }


def _name(plan: Plan, image: Path) -> str:
    return image.relative_to(plan.folder).as_posix()


def _say_passed_over(names: tuple[str, ...]) -> None:
    if names:
        output.say(f"changed elsewhere meanwhile, so left alone: {', '.join(names)}")


COMMANDS = (dataset_tags, dataset_replace, dataset_tag, dataset_tidy, dataset_undo)
