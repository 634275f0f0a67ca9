"""Give a model another name, and with it, where that is wanted, the files of one of its versions."""

from __future__ import annotations

from pathlib import Path

from registry import edits, journal, library, moving, organise, places, settled
from registry.database import Registry
from registry.errors import UsageError
from registry.journal import Entry
from registry.organise import Line
from registry.safe_name import safe_part
from registry.trash import Folders


def plan(registry: Registry, model: str, version: str, name: str) -> list[Line]:
    """How the files of a version here would be renamed after ``name``, each with all that lies beside it.

    Raises :class:`UsageError` for a name that no file can have.
    """
    stem = safe_part(name, fallback="")
    if not stem:
        raise UsageError(f"no file can be called {name!r}", "use letters or digits")
    detail, version = library.show(registry, model), settled.version_of(registry.db, version)
    read: Folders = {}
    found = [
        organise.line_to(detail.id, detail.name, place.path, Path(place.path).parent, stem, read)
        for one in detail.versions
        if one.id == version
        for file in one.files
        for place in file.places
        if place.state == places.PRESENT
    ]
    return organise.checked(found)


def rename(registry: Registry, model: str, name: str, lines: list[Line] | None = None) -> Entry | None:
    """Name the model, and move the files of :func:`plan` that have no conflict, as one entry of the journal.

    Returns None where it had that name already. Raises :class:`UsageError` for an empty name, and
    :class:`registry.errors.HubError`, with nothing renamed, when a file can't be.
    """
    name = " ".join(name.split())
    if not name:
        raise UsageError("an empty name is no name", "write what the model is to be called")
    (model,) = settled.models_of(registry.db, [model])
    moves = [move for line in lines or () if not line.conflict for move in line.moves]
    label = f"{edits.names_of(registry, [model])} named {name}" + (" with its files" if moves else "")

    def act() -> None:
        library.set_facts(registry, model, "user", {"name": name})

    def finish(_: object = None) -> Entry | None:
        return journal.write(registry, "rename", label, [model], act, moves=moves)

    return moving.carry_out(registry, moves, finish) if moves else finish()
