"""Give files folders and names that follow from what is known of them, by a template such as ``{base}/{creator}/{model}``.

A template is a path below the file's own root; its last part names the file, whose ending stays. One that ends in ``/``
leaves files their names. Sidecars and previews go along under the new name.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from registry import ids, journal, moving, path_template, places, roots, settled
from registry.copying import standing_folder
from registry.database import Registry
from registry.errors import HubError, UsageError
from registry.journal import Entry, Move
from registry.moving import Watch
from registry.path_template import UNKNOWN
from registry.sidecar_names import stem_of
from registry.trash import Folders, with_companions


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Where one model file would go. With a ``conflict`` it stays; ``moves`` also has what goes along with it."""

    model: str
    name: str
    source: str
    target: str
    conflict: str = ""
    moves: tuple[Move, ...] = ()


def plan(registry: Registry, template: str, models: Sequence[str], *, into: Path | None = None) -> list[Line]:
    """Where the files of these models would go; those that are there already are left out.

    ``into`` is an indexed folder, perhaps on another drive, that takes the place of each file's own root. Raises
    :class:`UsageError` for a template that makes no sense, or a folder that is not indexed.
    """
    parts = path_template.parts(template)
    top = _indexed(registry, into) if into is not None else None
    read: Folders = {}
    rows = registry.db.execute(
        _FILES, (msgspec.json.encode(settled.models_of(registry.db, models)).decode(), places.PRESENT)
    )
    lines = [_line(registry, parts, row, top, read) for row in rows]
    return checked(lines)


def checked(lines: Sequence[Line]) -> list[Line]:
    """The lines that move anything, each with its conflict."""
    counts = Counter(target.casefold() for line in lines for _, target in line.moves)
    moved = [line for line in lines if line.source != line.target]
    return [line if line.conflict else _checked(line, counts) for line in moved]


def line_to(model: str, name: str, source: str, folder: Path, stem: str, read: Folders) -> Line:
    """The line that gives the file at ``source`` the folder and the name ``stem``, with all that goes along."""
    ending = Path(source).name[len(stem_of(Path(source).name)) :]
    target = str(folder / (stem + ending))
    conflict = ""
    moves: tuple[Move, ...] = ()
    try:
        if Path(source).is_symlink():
            conflict = "it is a link"
        else:
            moves = tuple(_along(one, source, target) for one in with_companions(source, read))
    except HubError as error:
        conflict = str(error)
    return Line(model=model, name=name, source=source, target=target, conflict=conflict, moves=moves)


def carry_out(registry: Registry, lines: Sequence[Line], watch: Watch | None = None) -> Entry | None:
    """Move what has no conflict, as one entry of the journal; None if nothing is left to move.

    Raises :class:`registry.errors.HubError`, with every file where it was, when one can't be moved.
    """
    sound = [line for line in lines if not line.conflict]
    if not sound:
        return None
    moves = [move for line in sound for move in line.moves]
    models = list(dict.fromkeys(line.model for line in sound))
    label = f"{len(sound)} files organised"

    made = moving.missing_folders(moves)

    def finish(db: sqlite3.Connection) -> Entry | None:
        entry = journal.write(registry, "organise", label, models, lambda: None, moves=moves)
        if entry is not None:
            journal.note_folders(db, entry.id, made)
        return entry

    return moving.carry_out(registry, moves, finish, *([watch] if watch else []))


# One statement for all: asked model by model, fifty thousand take half a minute.
_COLUMNS = """
m.id AS model, m.name, json_extract(m.sources, '$.name') IS NOT NULL AS is_named,
    (SELECT name FROM files WHERE version_id = m.version_id ORDER BY added_at, sha256 LIMIT 1) AS first_file,
    m.kind, m.creator, m.tag_list, v.name AS version, v.base_model, v.network_type, v.rank,
    v.trigger_words, f.sha256, f.name AS file, f.added_at,
    (SELECT json_extract(body, '$.name') FROM records WHERE kind = 'run' AND id = v.id) AS run
"""
_FILES = f"""
SELECT {_COLUMNS}, p.path FROM json_each(?) j JOIN models m ON m.id = j.value JOIN versions v ON v.model_id = m.id
    JOIN files f ON f.version_id = v.id JOIN places p ON p.sha256 = f.sha256
WHERE p.state = ? ORDER BY j.key, v.added_at DESC, v.id, f.added_at, f.sha256, p.path
"""  # noqa: S608 - names of ours
_OF_FILE = f"""
SELECT {_COLUMNS}, f.name AS path FROM files f JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id
WHERE f.sha256 = ?
"""  # noqa: S608 - names of ours


def values_of(db: sqlite3.Connection, sha256: str) -> dict[str, str] | None:
    """What a template would say of a file that need not be here; None for one that belongs to no version."""
    row = db.execute(_OF_FILE, (sha256,)).fetchone()
    return _values(row) if row else None


def _line(registry: Registry, parts: list[str], row: sqlite3.Row, top: Path | None, read: Folders) -> Line:
    source = row["path"]
    values = _values(row)
    folders, stem = path_template.fill(parts, values)
    root = top or roots.covering_root(registry, Path(source)) or Path(source).parent
    line = line_to(row["model"], row["name"], source, root.joinpath(*folders), stem, read)
    if ids.is_provisional(row["sha256"]) and path_template.uses(parts, "hash8"):
        return msgspec.structs.replace(line, conflict="it has no hash yet: scan first")
    return line


def _indexed(registry: Registry, folder: Path) -> Path:
    path = roots.absolute(folder)
    if roots.covering_root(registry, path) is None:
        raise UsageError(f"{folder} is not indexed", "hubman root ls shows what is, hubman root add adds a folder")
    if not path.is_dir():
        raise UsageError(f"{folder} is no folder now", "is its drive there?")
    return path


def _values(row: sqlite3.Row) -> dict[str, str]:
    found: dict[str, object] = {
        "base": row["base_model"],
        "type": row["network_type"] or row["kind"],
        "creator": row["creator"],
        "model": row["name"] if row["is_named"] else stem_of(row["first_file"]),
        "version": row["version"],
        "tag": next(iter(_texts(row["tag_list"])), None),
        "trigger": next(iter(_texts(row["trigger_words"])), None),
        "rank": row["rank"],
        "yyyy": row["added_at"][:4],
        "hash8": row["sha256"][:8],
        "run": row["run"],
        "name": stem_of(Path(row["path"]).name),
        "original": stem_of(row["file"]),
    }
    return {name: str(value or UNKNOWN) for name, value in found.items()}


_texts = msgspec.json.Decoder(list[str]).decode


def _along(path: str, source: str, target: str) -> Move:
    """A file that is named after ``source``, named after ``target``."""
    name, old, new = (Path(one).name for one in (path, source, target))
    rest = new + name[len(old) :] if name.startswith(old) else stem_of(new) + name[len(stem_of(old)) :]
    return path, str(Path(target).parent / rest)


def _checked(line: Line, counts: Counter[str]) -> Line:
    conflict = next(filter(None, (_conflict(move, counts) for move in line.moves)), "")
    return msgspec.structs.replace(line, conflict=conflict)


def _conflict(move: Move, counts: Counter[str]) -> str:
    source, target = move
    if counts[target.casefold()] > 1:
        return f"several files would be {Path(target).name}: add {{hash8}} to the template"
    if os.path.lexists(target):
        return f"{Path(target).name} is there already"
    folder = standing_folder(target)
    if not folder.is_dir():
        return f"{folder} is no folder"
    is_away = Path(source).is_symlink() and folder.stat().st_dev != os.lstat(source).st_dev
    return f"{Path(source).name} is a link and can't go to another drive" if is_away else ""
