"""Images that a person left out of training: they stay where they are, and can be taken back.

The list lies beside the images, so it goes with the set to another folder or machine. It is a log, one line a
decision and the last one counts: two programs that write at once lose nothing, and a line cut off by a crash is
passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from hubman.train.data.set_files import list_images
from registry.decodable import decodable
from registry.errors import HubError, NotFoundError

LOG = ".hubman-left-out.jsonl"


class _Line(msgspec.Struct, frozen=True):
    at: str
    image: str
    left: bool


def left_out(folder: Path) -> frozenset[str]:
    """The names (paths below ``folder``) of the images that are left out. Raises HubError for an unreadable list."""
    try:
        content = (folder / LOG).read_bytes()
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise HubError(f"{folder / LOG} cannot be read ({error.strerror})", "check its permissions") from error
    last: dict[str, bool] = {}
    for line in content.splitlines():
        try:
            told = msgspec.json.decode(line, type=decodable(_Line))
        except msgspec.DecodeError:
            continue
        last[told.image] = told.left
    return frozenset(name for name, left in last.items() if left)


def leave(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Leave images out of training; returns those that were in. Raises NotFoundError for a name that is no image."""
    out = left_out(folder)
    return _write(folder, [name for name in _known(folder, names) if name not in out], left=True)


def take(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Take images back into training; returns those that were left out. Raises NotFoundError as :func:`leave`."""
    out = left_out(folder)
    wanted = list(dict.fromkeys(names))
    # What is gone from the folder can still be taken off the list.
    _known(folder, [name for name in wanted if name not in out])
    return _write(folder, [name for name in wanted if name in out], left=False)


def _known(folder: Path, names: Iterable[str]) -> list[str]:
    wanted = list(dict.fromkeys(names))
    known = {file.name for file in list_images(folder)} if wanted else set()
    for name in wanted:
        if name not in known:
            hint = "give its path below the folder, as `hubman dataset show` lists it"
            raise NotFoundError(f"{folder.name} has no image {name}", hint)
    return wanted


def _write(folder: Path, names: list[str], *, left: bool) -> tuple[str, ...]:
    if not names:
        return ()
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    lines = b"".join(msgspec.json.encode(_Line(now, name, left)) + b"\n" for name in names)
    try:
        with (folder / LOG).open("a+b") as file:
            # A line that a crash cut off must not swallow the next one.
            if file.seek(0, os.SEEK_END) and not _ends_line(file.name):
                lines = b"\n" + lines
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        hint = "check the folder's permissions and the free space"
        raise HubError(f"cannot write {folder / LOG} ({error.strerror})", hint) from error
    return tuple(names)


def _ends_line(path: str) -> bool:
    with Path(path).open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
