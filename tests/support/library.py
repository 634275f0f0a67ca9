"""Registries with entries that no file on disk backs, for tests of what lists, searches and merges do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from registry import changes, ids, library, projection
from registry.database import Registry


def add_entry(
    registry: Registry,
    name: str,
    *,
    facts: Mapping[str, object] = {},
    model_facts: Mapping[str, object] = {},
    tags: Sequence[str] = (),
    triggers: Sequence[str] = (),
    content: str = "",
    place: str | None = None,
    state: str = "present",
    **file: object,
) -> str:
    """A version of one file called ``name``, as a scan would have made it; returns its id (also its model's)."""
    sha256 = hashlib.sha256((content or name).encode()).hexdigest()
    item = ids.item_id(sha256)
    body: dict[str, object] = {
        "version_id": item, "name": f"{name}.safetensors", "size": 1000, "autov2": sha256[:10],
        "format": "safetensors", "added_at": "2026-01-01T00:00:00.000Z", **file,
    }  # fmt: skip
    with registry.transaction() as db:
        projection.rebuild(db, changes.record(db, [["file", sha256, body]]))
        if place is not None:
            inode = int(sha256[:8], 16) + len(place)
            db.execute(
                "INSERT INTO places (path, root, sha256, size, mtime_ns, device, inode, state, seen_at) "
                "VALUES (?, '/models', ?, 1000, 1, 1, ?, ?, '2026-01-01T00:00:00.000Z')",
                (place, sha256, inode, state),
            )
        library.set_facts(registry, item, "user", {**facts, **model_facts})
        library.update_set(registry, item, "tags", add=tags)
        library.update_set(registry, item, "trigger_words", add=triggers)
    return item
