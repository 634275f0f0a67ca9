"""Two files that are one model: the same weights under another header, such as a copy whose header tells less."""

from __future__ import annotations

import msgspec

from registry import changes, projection, timestamps
from registry.database import Registry
from registry.hashing import FileHashes
from registry.records import FileRow


def known_as(registry: Registry, file: FileRow, hashes: FileHashes, *, name: str, metadata: dict[str, str]) -> None:
    """Know the content with these hashes as the version of ``file``; it need not lie in the library."""
    if registry.db.execute("SELECT 1 FROM files WHERE sha256 = ?", (hashes.sha256,)).fetchone():
        return
    told = msgspec.structs.asdict(file)
    facts = {fact: told[fact] for fact in changes.FILE_FACTS if told.get(fact) is not None}
    own = {key: value for key, value in msgspec.structs.asdict(hashes).items() if key != "sha256" and value is not None}
    with registry.transaction() as db:
        change = [
            "file",
            hashes.sha256,
            {**facts, **own, "name": name, "metadata": metadata, "added_at": timestamps.now()},
        ]
        projection.rebuild(db, changes.record(db, [change]))
