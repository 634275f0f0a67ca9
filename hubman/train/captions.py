"""Captions beside their images: written in one step, logged, and drafts that never replace what a person typed.

``.hubman-captions.jsonl`` in the dataset's folder records every change (old and new text), so originals are kept,
and tells drafts from typed captions: a caption is a draft while it still is the text that was drafted last.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from hubman.train.checks import split_tags
from hubman.train.dataset import caption_path, image_files, read_caption
from hubman.train.files import write_atomically
from registry.errors import HubError

LOG = ".hubman-captions.jsonl"
Author = Literal["typed", "draft"]


class Change(msgspec.Struct, frozen=True):
    """One line of the log."""

    at: str
    image: str
    by: Author
    before: str | None
    after: str


def write_caption(image: Path, text: str, by: Author = "typed") -> None:
    """Replace the caption of ``image`` by ``text`` (kept in one line) and log what it was."""
    line = " ".join(text.split())
    before, problem = read_caption(image)
    if problem and by == "draft":
        raise HubError(f"{image.name}: {problem}", "repair the caption file first")
    if before == line:
        return
    # The log goes first: a crash in between must not leave a draft that looks typed, or a typed original unlogged.
    _append(
        image.parent / LOG, Change(datetime.now(UTC).isoformat(timespec="milliseconds"), image.name, by, before, line)
    )
    write_atomically(caption_path(image), f"{line}\n".encode())


def drafts(folder: Path) -> dict[str, str]:
    """The last drafted text of each image (by file name) whose last logged change was a draft."""
    last: dict[str, Change] = {change.image: change for change in history(folder)}
    return {name: change.after for name, change in last.items() if change.by == "draft"}


def history(folder: Path) -> list[Change]:
    """Every logged change, oldest first; a line that was cut off by a crash is passed over."""
    try:
        lines = (folder / LOG).read_bytes().splitlines()
    except OSError:
        return []
    changes = []
    for line in lines:
        try:
            changes.append(msgspec.json.decode(line, type=Change))
        except msgspec.DecodeError:
            continue
    return changes


def is_typed(image: Path, drafted: Mapping[str, str]) -> bool:
    """Whether a person wrote the caption of ``image``; ``drafted`` is the folder's :func:`drafts`."""
    caption, problem = read_caption(image)
    return bool(problem) or (bool(caption) and caption != drafted.get(image.name))


def draft_all(folder: Path, describe: Callable[[Path], str], redraft: bool = False) -> tuple[str, ...]:
    """Draft captions where there are none (``redraft``: also where only a draft stands); returns the images' names.

    Each draft is written as soon as it is made, so what ``describe`` raises loses none of those before it.
    """
    drafted = drafts(folder)
    written = []
    for image in image_files(folder):
        caption, _problem = read_caption(image)
        if is_typed(image, drafted) or (caption and not redraft):
            continue
        write_caption(image, describe(image), by="draft")
        written.append(image.name)
    return tuple(written)


def compose(text: str, trigger: str = "", blacklist: Iterable[str] = ()) -> str:
    """``text`` without blacklisted tags, the trigger first unless it is in it already."""
    banned = {word.strip().lower() for word in blacklist}
    kept = ", ".join(tag for tag in split_tags(text) if tag.lower() not in banned)
    if not trigger or trigger.lower() in kept.lower():
        return kept
    return f"{trigger}, {kept}" if kept else trigger


def vary(caption: str, rng: random.Random, *, shuffle: bool, keep_tokens: int, dropout: float) -> str:
    """What training reads this time: nothing with probability ``dropout``, else the caption with its tags shuffled.

    The first ``keep_tokens`` comma-separated tags, or all before ``|||``, stay where they are.
    """
    if dropout and rng.random() < dropout:
        return ""
    fixed, bar, rest = caption.partition("|||")
    if not shuffle:
        return f"{fixed.strip()} {rest.strip()}" if bar else caption
    tags = split_tags(rest if bar else caption)
    head = split_tags(fixed) if bar else tags[:keep_tokens]
    tail = tags if bar else tags[keep_tokens:]
    rng.shuffle(tail)
    return ", ".join(head + tail)


def _append(path: Path, change: Change) -> None:
    try:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(change) + b"\n")
    except OSError as error:
        raise HubError(f"cannot write {path} ({error.strerror})", "check the folder's permissions") from error
