"""Edits of all captions of a dataset at once: what they would change, doing it, and taking it back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from hubman.train.captioning import caption_log
from hubman.train.captioning.caption_log import Author, Change
from hubman.train.captioning.caption_text import tidy
from hubman.train.captioning.captions import Outcome, Wanted, carry_out, finish, named, sweep
from hubman.train.captioning.tags import Rewrite, TagCount, frequencies
from hubman.train.data.dataset import caption_path, read_caption
from registry.errors import HubError, NotFoundError


class Plan(msgspec.Struct, frozen=True):
    """What an edit would do. Images without a caption are left to be drafted or written."""

    folder: Path
    what: str
    wanted: tuple[Wanted, ...]
    uncaptioned: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


class Undone(msgspec.Struct, frozen=True):
    """An edit that was taken back; ``passed_over`` names images whose captions were changed elsewhere since."""

    what: str
    restored: tuple[str, ...]
    passed_over: tuple[str, ...] = ()


def plan(folder: Path, what: str, rewrite: Rewrite) -> Plan:
    """What ``rewrite`` (of each line of a caption) would change in ``folder``; nothing is written."""
    wanted, uncaptioned, unreadable = [], [], []
    for name, image in _captioned_once(folder):
        caption, problem = read_caption(image)
        if problem:
            unreadable.append(name)
        elif not caption:
            uncaptioned.append(name)
        else:
            after = tidy("\n".join(rewrite(line) for line in caption.splitlines()))
            if after != caption:
                wanted.append(Wanted(image, caption, after))
    return Plan(folder, what, tuple(wanted), tuple(uncaptioned), tuple(unreadable))


def apply(plan: Plan) -> Outcome:
    """Carry the plan out, as one edit. Raises HubError where a caption can't be written; the next edit goes on then."""
    sweep(plan.folder)
    return carry_out(plan.folder, plan.what, plan.wanted)


def tag_counts(folder: Path) -> tuple[TagCount, ...]:
    """The tags of all captions in ``folder``, the commonest first."""
    captions = ((name, read_caption(image)[0] or "") for name, image in _captioned_once(folder))
    return frequencies(captions)


def undoable(folder: Path) -> tuple[tuple[str, int], ...]:
    """The edits that :func:`undo` can take back, the next one first: what they were, and how many captions.

    Raises NotFoundError where ``folder`` is none.
    """
    _expect(folder)
    return tuple((group[0].what or "caption", len(group)) for group in reversed(caption_log.undoable(folder)))


def undo(folder: Path) -> Undone:
    """Take the last edit back, also one of another day; captions that were changed elsewhere since stay.

    Raises NotFoundError when nothing is left to undo.
    """
    _expect(folder)
    finish(folder)
    edits = caption_log.undoable(folder)
    if not edits:
        raise NotFoundError(f"no caption of {folder.name} was changed by hubman", "there is nothing to undo")
    last = edits[-1]
    images = named(folder)
    wanted = [
        Wanted(images[change.image], change.after, change.before, _author_before(folder, change), change.original)
        for change in last
        if change.image in images
    ]
    gone = tuple(change.image for change in last if change.image not in images)
    outcome = carry_out(folder, f"undo: {last[0].what}", wanted, undoes=last[0].group)
    return Undone(last[0].what, outcome.written, (*outcome.passed_over, *gone))


def _expect(folder: Path) -> None:
    if not folder.is_dir():
        raise NotFoundError(f"{folder} is not a folder", "give the folder that holds the training images")


def _author_before(folder: Path, undone: Change) -> Author:
    """Who wrote what stood before a change: a draft that was edited and restored may be drafted again."""
    earlier: Author = "typed"
    for change in caption_log.changes(folder):
        if change == undone:
            return earlier
        if change.image == undone.image:
            earlier = change.by if change.after == undone.before else "typed"
    return earlier


def _captioned_once(folder: Path) -> Sequence[tuple[str, Path]]:
    """The images by name, but of those that share a caption file (``a.png``, ``a.jpg``) the first."""
    found: dict[Path, tuple[str, Path]] = {}
    for name, image in named(folder).items():
        found.setdefault(caption_path(image), (name, image))
    if not found:
        raise HubError(f"{folder} holds no images", "give the folder that holds the training images")
    return list(found.values())
