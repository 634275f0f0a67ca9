"""What a person does with collections: make, fill, rename, move and remove them. Each call is one entry of the journal."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import msgspec

from registry import edits, ids, journal, library, settled, timestamps
from registry.collection_tree import NAME, PARENT, PREFIX, REMOVED, SEPARATOR, above
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from registry.journal import Entry

MAX_NAME = 200


class Collection(msgspec.Struct, frozen=True):
    """``models`` are in it itself, ``total`` also counts those in the collections below; the trash counts in neither."""

    id: str
    path: str
    models: int
    total: int


def listed(registry: Registry) -> list[Collection]:
    """All collections, each followed by those in it."""
    rows = registry.db.execute(
        "SELECT c.id, c.name, coalesce(sum(m.is_direct), 0), count(m.model_id) FROM collections c "
        "LEFT JOIN (SELECT cm.* FROM collection_members cm JOIN models o ON o.id = cm.model_id AND o.deleted_at IS NULL) m "
        "ON m.collection_id = c.id GROUP BY c.id"
    )
    found = [Collection(*row) for row in rows]
    return sorted(found, key=lambda one: one.path.casefold().split(SEPARATOR))


def members(registry: Registry, path: str) -> list[str]:
    """Ids of the models in a collection and below it, by name. Raises :class:`NotFoundError`."""
    sql = (
        "SELECT m.id FROM collection_members cm JOIN models m ON m.id = cm.model_id "
        "WHERE cm.collection_id = ? AND m.deleted_at IS NULL ORDER BY m.name COLLATE NOCASE, m.id"
    )
    return [row[0] for row in registry.db.execute(sql, (find(registry, path),))]


def find(registry: Registry, path: str) -> str:
    """The id of the collection at ``path``. Raises :class:`NotFoundError` with the nearest name."""
    wanted = _parsed(path)
    found = _at(registry, wanted)
    if found is None:
        known = [row[0] for row in registry.db.execute("SELECT name FROM collections")]
        near = get_close_matches(wanted, known, 1, 0.5)
        hint = (
            f"did you mean {near[0]}?" if near else "hubman collection ls shows them, hubman collection new makes one"
        )
        raise NotFoundError(f"there is no collection {wanted}", hint)
    return found


def exists(registry: Registry, path: str) -> bool:
    """Whether there is a collection at ``path``. Raises :class:`UsageError` for what is no path."""
    return _at(registry, _parsed(path)) is not None


def create(registry: Registry, path: str) -> Entry | None:
    """Make a collection, and those above it that are not there. Raises :class:`UsageError` if it is there already."""
    wanted = _parsed(path)
    with registry.transaction():
        _refuse_existing(registry, wanted)
        missing = [one for one in reversed([wanted, *above(wanted)]) if _at(registry, one) is None]
        made = {one: PREFIX + ids.new_id() for one in missing}

        def act() -> None:
            for one, item in made.items():
                name = one.rpartition(SEPARATOR)[2]
                library.set_facts(registry, item, "user", {NAME: name, PARENT: _parent_of(registry, one)})

        return journal.write(registry, "collection", f"collection {wanted} made", list(made.values()), act)


def put(registry: Registry, path: str, models: Sequence[str]) -> Entry | None:
    """Put models into a collection. Raises :class:`NotFoundError`."""
    models = settled.models_of(registry.db, models)
    collection = find(registry, path)

    def act() -> None:
        for model in models:
            if not _is_in(registry, collection, model):
                library.update_set(registry, model, "collections", add=[collection])

    label = f"{edits.names_of(registry, models)} put into {_path_of(registry, collection)}"
    return journal.write(registry, "collection", label, models, act)


def take_out(registry: Registry, path: str, models: Sequence[str]) -> Entry | None:
    """Take models out of a collection, not of those below it. Raises :class:`NotFoundError`."""
    models = settled.models_of(registry.db, models)
    collection = find(registry, path)

    def act() -> None:
        for model in models:
            library.update_set(registry, model, "collections", remove=_aliases(registry, collection))

    label = f"{edits.names_of(registry, models)} taken out of {_path_of(registry, collection)}"
    return journal.write(registry, "collection", label, models, act)


def below(registry: Registry, path: str) -> list[str]:
    """The paths of the collection and all in it: what :func:`remove` would remove. Raises :class:`NotFoundError`."""
    top = _path_of(registry, find(registry, path))
    start = f"{top}{SEPARATOR}".casefold()
    return [one.path for one in listed(registry) if one.path == top or one.path.casefold().startswith(start)]


def remove(registry: Registry, path: str) -> Entry | None:
    """Remove a collection with all in it; the models stay. Raises :class:`NotFoundError`."""
    gone = [item for one in below(registry, path) for item in _aliases(registry, find(registry, one))]
    now = timestamps.now()
    return _say(registry, f"collection {_parsed(path)} removed", gone, {REMOVED: now})


def rename(registry: Registry, path: str, name: str) -> Entry | None:
    """Give a collection another name where it is. Raises :class:`NotFoundError`, and :class:`UsageError` if the name is taken."""
    collection = find(registry, path)
    old = _path_of(registry, collection)
    new = _parsed(name)
    if SEPARATOR in new:
        raise UsageError(f"{name} is a path", "give a name here; hubman collection move puts it elsewhere")
    target = SEPARATOR.join([*old.split(SEPARATOR)[:-1], new])
    if target.casefold() != old.casefold():
        _refuse_existing(registry, target)
    return _say(registry, f"collection {old} named {new}", _aliases(registry, collection), {NAME: new})


def move(registry: Registry, path: str, into: str) -> Entry | None:
    """Put a collection, with all in it, into another; ``/`` is the top. Raises as :func:`rename`."""
    collection = find(registry, path)
    old = _path_of(registry, collection)
    parent = None if into.strip() in {"", SEPARATOR} else find(registry, into)
    home = _path_of(registry, parent) if parent else ""
    if f"{home}{SEPARATOR}".casefold().startswith(f"{old}{SEPARATOR}".casefold()):
        raise UsageError(f"{old} can't be moved into itself", "choose a collection that is not in it")
    target = SEPARATOR.join(filter(None, [home, old.rpartition(SEPARATOR)[2]]))
    if target.casefold() != old.casefold():
        _refuse_existing(registry, target)
    return _say(registry, f"collection {old} moved to {target}", _aliases(registry, collection), {PARENT: parent})


def _say(registry: Registry, label: str, items: Sequence[str], facts: dict[str, object]) -> Entry | None:
    def act() -> None:
        for item in items:
            library.set_facts(registry, item, "user", facts)

    return journal.write(registry, "collection", label, items, act)


def _parsed(path: str) -> str:
    """``path`` with its names trimmed. Raises :class:`UsageError` for what is none."""
    parts = [part.strip() for part in path.strip().strip(SEPARATOR).split(SEPARATOR)]
    if not all(part and len(part) <= MAX_NAME and part.isprintable() for part in parts):
        raise UsageError(f"{path!r} is no path of a collection", "write names with / between them, such as Clients/A")
    return SEPARATOR.join(parts)


def _refuse_existing(registry: Registry, path: str) -> None:
    if _at(registry, path) is not None:
        raise UsageError(f"there is a collection {path} already", "choose another name")


def _at(registry: Registry, path: str) -> str | None:
    for item, name in registry.db.execute("SELECT id, name FROM collections"):
        if name.casefold() == path.casefold():
            return str(item)
    return None


def _parent_of(registry: Registry, path: str) -> str | None:
    return next((_at(registry, parent) for parent in above(path)), None)


def _path_of(registry: Registry, collection: str) -> str:
    return str(registry.db.execute("SELECT name FROM collections WHERE id = ?", (collection,)).fetchone()[0])


def _aliases(registry: Registry, collection: str) -> list[str]:
    return [row[0] for row in registry.db.execute("SELECT id FROM collection_aliases WHERE shown = ?", (collection,))]


def _is_in(registry: Registry, collection: str, model: str) -> bool:
    sql = "SELECT 1 FROM collection_members WHERE collection_id = ? AND model_id = ? AND is_direct"
    return registry.db.execute(sql, (collection, model)).fetchone() is not None
