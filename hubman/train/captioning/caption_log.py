"""``.hubman-captions.jsonl`` beside a dataset's captions: every change with the text before it, so that all can be undone.

An edit is written down as a whole before its first file is touched, and closed after its last. What a killed process
left half done is carried on by whoever edits next; half a record is passed over.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from registry.decodable import decodable
from registry.errors import HubError

NAME = ".hubman-captions.jsonl"
Author = Literal["typed", "draft"]


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One caption before and after. None stands for a caption file that is not there."""

    at: str
    image: str
    """Its path below the set's folder, with slashes."""
    by: Author
    before: str | None
    after: str | None
    edit: str = ""
    """Changes that were made in one go share it."""
    what: str = ""
    """The edit in words."""
    of: int = 1
    """How many changes of the edit were written down together."""
    undoes: str = ""
    original: bytes | None = None
    """The file before, where that is more than ``before`` and a newline: other encodings, blanks, empty lines."""

    @property
    def group(self) -> str:
        return self.edit or f"{self.at} {self.image}"


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    """An edit is carried out as far as it could be."""

    done: str
    undoes: str = ""


Entry = Change | Done


def read(folder: Path) -> list[Entry]:
    """Every entry, oldest first; a line that was cut off by a crash is passed over."""
    try:
        lines = (folder / NAME).read_bytes().splitlines()
    except OSError:
        return []
    return [entry for entry in map(_decode, lines) if entry is not None]


def changes(folder: Path) -> list[Change]:
    """The changes of edits that were written down whole, oldest first."""
    return _whole(entry for entry in read(folder) if isinstance(entry, Change))


def unfinished(folder: Path) -> list[Change]:
    """The changes after the last edit that was closed."""
    pending: list[Change] = []
    for entry in read(folder):
        pending = [] if isinstance(entry, Done) else [*pending, entry]
    return _whole(pending)


def undoable(folder: Path) -> list[list[Change]]:
    """The edits that can be taken back, the newest last, each with its changes."""
    whole = changes(folder)
    closed = [entry.undoes for entry in read(folder) if isinstance(entry, Done)]
    undone = {*closed, *(change.undoes for change in whole)}
    groups: dict[str, list[Change]] = defaultdict(list)
    for change in whole:
        if not change.undoes:
            groups[change.group].append(change)
    return [group for name, group in groups.items() if name not in undone]


def append(folder: Path, entries: Sequence[Entry]) -> None:
    """Write ``entries`` down, all or none. Raises HubError where the folder can't be written."""
    path = folder / NAME
    lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
    try:
        with path.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size and not _ends_whole(file.fileno(), size):
                lines = b"\n" + lines
            try:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), size)
                raise
    except OSError as error:
        raise HubError(
            f"cannot write {path} ({error.strerror})", "check the folder's permissions and the free space"
        ) from error


def _ends_whole(descriptor: int, size: int) -> bool:
    return os.pread(descriptor, 1, size - 1) == b"\n"


def _decode(line: bytes) -> Entry | None:
    kinds: tuple[type[Entry], ...] = (Change, Done)
    for kind in kinds:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(line, type=decodable(kind))
    return None


def _whole(found: Iterable[Change]) -> list[Change]:
    """Without the changes of an edit of which a crash let only the beginning reach the disk."""
    listed = list(found)
    count: dict[str, int] = defaultdict(int)
    for change in listed:
        count[change.group] += 1
    return [change for change in listed if count[change.group] >= change.of]
