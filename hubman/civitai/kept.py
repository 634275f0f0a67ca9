"""How much of what was seen on Civitai is kept on this machine."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import msgspec

from hubman.civitai.answers import cache_path
from hubman.civitai.ledger import read_only


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and bytes. ``folder`` may be deleted at any time; so it is emptied."""

    folder: Path
    answers: int = 0
    answers_size: int = 0
    pictures: int = 0
    pictures_size: int = 0


def kept(home: Path) -> Kept:
    path = cache_path(home)
    found = Kept(folder=path.parent)
    with contextlib.suppress(sqlite3.Error), contextlib.closing(read_only(path)) as db:
        answers, answers_size = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM answers").fetchone()
        pictures, pictures_size = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM media").fetchone()
        found = Kept(
            folder=path.parent, answers=answers, answers_size=answers_size,
            pictures=pictures, pictures_size=pictures_size,
        )  # fmt: skip
    return found
