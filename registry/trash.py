"""The trash of files: a model's files with all that lies beside them, moved aside and put back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from registry import edits, journal, library, moving, places, roots, settled, timestamps, trash_folder, unhashed
from registry.database import Registry
from registry.errors import HubError
from registry.journal import Entry, Move
from registry.sidecar_names import Beside


class Trashed(msgspec.Struct, frozen=True):
    """A file in the trash. ``size`` in bytes; ``is_there`` is false while its volume is not, or when it was taken away."""

    path: str
    original: str
    model: str | None
    name: str
    size: int
    at: str
    is_there: bool


def files_of(registry: Registry, models: Sequence[str]) -> list[str]:
    """The paths of all files of these models on this machine, each followed by what belongs to it."""
    sql = (
        "SELECT p.path FROM versions v JOIN files f ON f.version_id = v.id JOIN places p ON p.sha256 = f.sha256 "
        "WHERE v.model_id = ? AND p.state <> ? ORDER BY p.path"
    )
    found: dict[str, None] = {}
    read: Folders = {}
    for model in settled.models_of(registry.db, models):
        for (path,) in registry.db.execute(sql, (model, places.MISSING)):
            found |= dict.fromkeys(with_companions(path, read))
    return list(found)


Folders = dict[str, Beside]
"""The folders that were listed for a plan, so that each is listed once however many models lie in it."""


def with_companions(path: str, read: Folders) -> list[str]:
    """A model file and every sidecar and preview that belongs to it. Raises :class:`HubError` for an unreadable folder."""
    folder, name = os.path.split(path)
    if folder not in read:
        try:
            read[folder] = Beside(os.listdir(folder))  # noqa: PTH208 - names stay texts here
        except OSError as error:
            raise HubError(f"{folder} can't be read ({error.strerror})", "is its drive there?") from error
    return [path, *(f"{folder.rstrip('/')}/{companion}" for companion in read[folder].of(name))]


def plan(registry: Registry, models: Sequence[str]) -> list[Move]:
    """Where :func:`trash_files` would move which files."""
    return _into_trash(registry, files_of(registry, models))


def plan_paths(registry: Registry, paths: Sequence[str]) -> list[Move]:
    """Where these model files, each with what belongs to it, would go in the trash."""
    read: Folders = {}
    return _into_trash(registry, list(dict.fromkeys(one for path in paths for one in with_companions(path, read))))


def last_copies(registry: Registry, models: Sequence[str]) -> list[str]:
    """The names of those of these models that have a file in several places here, all of which would go."""
    sql = (
        "SELECT m.name FROM json_each(?) j JOIN models m ON m.id = j.value JOIN versions v ON v.model_id = m.id "
        "JOIN files f ON f.version_id = v.id JOIN places p ON p.sha256 = f.sha256 WHERE p.state = ? "
        "GROUP BY f.sha256 HAVING count(DISTINCT p.device || ':' || p.inode) > 1 ORDER BY m.name"
    )
    rows = registry.db.execute(
        sql, (msgspec.json.encode(settled.models_of(registry.db, models)).decode(), places.PRESENT)
    )
    return list(dict.fromkeys(row[0] for row in rows))


def _into_trash(registry: Registry, paths: Sequence[str]) -> list[Move]:
    loads: dict[int, Path] = {}
    counts: dict[Path, int] = {}
    moves = []
    for path in paths:
        device = Path(path).parent.stat().st_dev
        if device not in loads:
            root = roots.covering_root(registry, Path(path)) or Path(path).parent
            loads[device] = trash_folder.new_load(path, root)
        load = loads[device]
        counts[load] = counts.get(load, 0) + 1
        moves.append((path, str(load / str(counts[load]))))
    return moves


def trash_files(registry: Registry, models: Sequence[str]) -> Entry | None:
    """Hide the models on every machine and move their files here into the trash.

    Raises :class:`HubError`, with nothing moved, when a file can't be.
    """
    models = settled.models_of(registry.db, models)
    label = f"{edits.names_of(registry, models)} and its files put into the trash"
    return _with_files(registry, "trash", label, models, plan(registry, models), timestamps.now())


def restore(registry: Registry, models: Sequence[str]) -> Entry | None:
    """Take models out of the trash and put their files back under their old names.

    Raises :class:`HubError`, with nothing moved, where something else lies there now.
    """
    models = settled.models_of(registry.db, models)
    sql = "SELECT path, original FROM trashed WHERE model = ? ORDER BY at, length(path), path"
    moves = [(row[0], row[1]) for model in models for row in registry.db.execute(sql, (model,))]
    label = f"{edits.names_of(registry, models)} taken out of the trash"
    return _with_files(registry, "restore", label, models, moves, None)


def _with_files(
    registry: Registry, verb: str, label: str, models: Sequence[str], moves: Sequence[Move], deleted_at: str | None
) -> Entry | None:
    def act() -> None:
        for model in models:
            library.set_facts(registry, model, "user", {"deleted_at": deleted_at})

    def finish(_: object = None) -> Entry | None:
        return journal.write(registry, verb, label, models, act, moves=moves)

    return moving.carry_out(registry, moves, finish) if moves else finish()


def listed(registry: Registry) -> list[Trashed]:
    """What lies in the trash of this machine, the newest first."""
    sql = (
        "SELECT t.path, t.original, t.model, coalesce(m.name, '') AS name, t.size, t.at FROM trashed t "
        "LEFT JOIN models m ON m.id = t.model ORDER BY t.at DESC, t.original"
    )
    return [Trashed(**dict(row), is_there=os.path.lexists(row["path"])) for row in registry.db.execute(sql)]


def purge(registry: Registry, files: Sequence[Trashed]) -> int:
    """Delete files of the trash for ever; returns the bytes freed. Those whose volume is not there are left.

    Raises :class:`HubError` for one that can't be deleted; those before it are gone.
    """
    freed = 0
    gone: list[Trashed] = []
    try:
        for file in files:
            if not file.is_there and not Path(file.path).parent.exists():
                continue
            with contextlib.suppress(FileNotFoundError):
                Path(file.path).unlink()
            freed += file.size if file.is_there else 0
            gone.append(file)
    except OSError as error:
        raise HubError(f"{error.filename} can't be deleted ({error.strerror})", "check its permissions") from error
    finally:
        _forget(registry, gone)
    return freed


def _forget(registry: Registry, gone: Sequence[Trashed]) -> None:
    if not gone:
        return
    with registry.transaction() as db:
        db.executemany("DELETE FROM trashed WHERE path = ?", [(file.path,) for file in gone])
        unhashed.forget_lost(db)
        models = list(dict.fromkeys(file.model for file in gone if file.model))
        journal.note(registry, journal.FINAL, f"{len(gone)} files of the trash deleted for ever", models)
    trash_folder.drop_empty(file.path for file in gone)
