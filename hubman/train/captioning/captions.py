"""Captions beside their images: written in one step, logged, and drafts that never replace what a person typed.

:mod:`hubman.train.captioning.caption_log` records every change (old and new text), so originals are kept, and tells drafts from
typed captions: a caption is a draft while it still is the text that was drafted last.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec

from hubman.train.captioning import caption_log
from hubman.train.captioning.caption_log import Author, Change, Done
from hubman.train.captioning.caption_text import tidy
from hubman.train.captioning.tags import has_trigger, split_tags
from hubman.train.data.dataset import caption_path, image_files, read_caption, read_caption_file, training_files
from hubman.train.files import write_atomically
from registry.errors import HubError

_LEFT = re.compile(r"\..+\.(txt|caption)\.[0-9a-f]{32}\.tmp")
_YOUNG = 60.0


class Wanted(msgspec.Struct, frozen=True):
    """What the caption of ``image`` is to become; ``before`` is what it was when that was decided."""

    image: Path
    before: str | None
    after: str | None
    by: Author = "typed"
    original: bytes | None = None
    """The caption file's exact bytes to put back, instead of ``after`` and a newline."""


class Outcome(msgspec.Struct, frozen=True):
    """What an edit did: the images whose captions changed, and those whose captions had changed meanwhile."""

    written: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()


def write_caption(image: Path, text: str, by: Author = "typed", folder: Path | None = None) -> None:
    """Replace the caption of ``image`` by ``text`` and log what it was, in the set's ``folder`` (by default the image's)."""
    before, problem = read_caption(image)
    if problem and by == "draft":
        raise HubError(f"{image.name}: {problem}", "repair the caption file first")
    what = f"{'draft' if by == 'draft' else 'caption'} of {image.name}"
    carry_out(folder or image.parent, what, [Wanted(image, before, tidy(text), by)])


def carry_out(folder: Path, what: str, wanted: Sequence[Wanted], undoes: str = "", edit: str = "") -> Outcome:
    """Write the captions in ``wanted`` (of images in or below ``folder``) and log the edit, so that it can be undone as one.

    A caption that isn't any more what it was is passed over. The log goes first: what a crash cuts off is carried on
    by the next edit. Raises HubError where a file can't be written.
    """
    finish(folder)
    edit = edit or uuid4().hex
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    logged, passed_over = [], []
    for each in wanted:
        name = each.image.relative_to(folder).as_posix()
        before, raw, problem = read_caption_file(each.image)
        if before != each.before:
            passed_over.append(name)
        elif problem or before != each.after or each.original not in {None, raw}:
            kept = raw if raw != _plain(before) else None
            logged.append((Change(now, name, each.by, before, each.after, edit, what, 0, undoes, kept), each.original))
    entries = [msgspec.structs.replace(change, of=len(logged)) for change, _ in logged]
    if entries:
        caption_log.append(folder, entries)
        for change, original in logged:
            _put(folder / change.image, change.after, original)
    if entries or undoes:
        caption_log.append(folder, [Done(edit, undoes)])
    return Outcome(tuple(change.image for change in entries), tuple(passed_over))


def finish(folder: Path) -> None:
    """Carry on an edit that was cut off: captions that still are what they were before it become what it made them."""
    pending = caption_log.unfinished(folder)
    if not pending:
        return
    # The log lies in the set and may come from anywhere: it names images of the set, or nothing.
    images = named(folder)
    for change in pending:
        image = images.get(change.image)
        if image is not None and read_caption(image)[0] == change.before:
            _put(image, change.after, _undone_bytes(folder, change))
    caption_log.append(folder, [Done(pending[-1].group, pending[-1].undoes)])


def sweep(folder: Path) -> None:
    """Remove what killed processes left beside captions; what is young may be another's that is just being written."""
    for parent in {image.parent for image in image_files(folder)}:
        for left in parent.glob(".*.tmp"):
            with suppress(OSError):
                if _LEFT.fullmatch(left.name) and time.time() - left.stat().st_mtime > _YOUNG:
                    left.unlink()


def named(folder: Path) -> dict[str, Path]:
    """The images of a set by their names below ``folder``, with slashes."""
    return {image.relative_to(folder).as_posix(): image for image in image_files(folder)}


def drafts(folder: Path) -> dict[Path, str]:
    """The last drafted text of each image whose last logged change was a draft."""
    last = {folder / change.image: change for change in caption_log.changes(folder)}
    return {image: change.after for image, change in last.items() if change.by == "draft" and change.after is not None}


def is_typed(image: Path, drafted: Mapping[Path, str]) -> bool:
    """Whether a person wrote the caption of ``image``; ``drafted`` is the folder's :func:`drafts`."""
    caption, problem = read_caption(image)
    return bool(problem) or (bool(caption) and caption != drafted.get(image))


def to_draft(folder: Path, redraft: bool = False) -> list[Path]:
    """The images to train of ``folder`` that have no caption; ``redraft``: also those where only a draft stands."""
    drafted = drafts(folder)
    found = []
    for image in (file.path for file in training_files(folder)):
        caption, _problem = read_caption(image)
        if not is_typed(image, drafted) and (redraft or not caption):
            found.append(image)
    return found


def draft_all(folder: Path, describe: Callable[[Path], str | None], redraft: bool = False) -> tuple[str, ...]:
    """Draft captions where there are none (``redraft``: also where only a draft stands); returns the images' names.

    Each draft is written as soon as it is made, so what ``describe`` raises loses none of those before it; all are one
    edit. What a person typed while the drafts were made stays. Nothing is written for None and for empty drafts.
    """
    sweep(folder)
    edit, written = uuid4().hex, list[str]()
    for image in to_draft(folder, redraft):
        before, _ = read_caption(image)
        text = tidy(describe(image) or "")
        if text:
            outcome = carry_out(folder, "drafts", [Wanted(image, before, text, "draft")], edit=edit)
            written += outcome.written
    return tuple(written)


def compose(text: str, trigger: str = "", blacklist: Iterable[str] = (), prefix: str = "", suffix: str = "") -> str:
    """``text`` without blacklisted tags between ``prefix`` and ``suffix``, the trigger first unless it is there already.

    Prefix and suffix are joined on by a blank, as trainers do it: a prefix that is a tag ends with a comma.
    """
    banned = {word.strip().lower() for word in blacklist}
    kept = ", ".join(tag for tag in split_tags(text) if tag.lower() not in banned)
    glue = "" if suffix.startswith((",", ".")) else " "
    body = f"{prefix} {kept}".strip(", ")
    whole = " ".join(f"{body}{glue}{suffix}".split()).strip(", ")
    if has_trigger(whole, trigger):
        return whole
    return f"{trigger}, {whole}" if whole else trigger


def _undone_bytes(folder: Path, change: Change) -> bytes | None:
    """What the file of a caption was before the edit that ``change`` takes back, where that is more than its text."""
    if not change.undoes:
        return None
    undone = (each for each in caption_log.changes(folder) if each.group == change.undoes)
    return next((each.original for each in undone if each.image == change.image), None)


def _plain(text: str | None) -> bytes | None:
    return None if text is None else f"{text}\n".encode()


def _put(image: Path, text: str | None, original: bytes | None) -> None:
    content = original if original is not None else _plain(text)
    if content is None:
        caption_path(image).unlink(missing_ok=True)
    else:
        write_atomically(caption_path(image), content)
