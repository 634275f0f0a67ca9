"""Which models came out of an archive that is gone: what is known by the archive's hash is not fetched again."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from registry.database import Registry


def note(registry: Registry, archive: str, models: Sequence[tuple[str, str]]) -> None:
    """Write down the paths and SHA-256 of what the archive with the SHA-256 ``archive`` held."""
    with registry.transaction() as db:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_key(archive), msgspec.json.encode(models).decode()))


def models_of(registry: Registry, archive: str) -> list[tuple[str, str]]:
    """Paths and SHA-256 of what came out of this archive here; empty if it never was opened."""
    row = registry.db.execute("SELECT value FROM meta WHERE key = ?", (_key(archive),)).fetchone()
    return msgspec.json.decode(row[0], type=list[tuple[str, str]]) if row else []


def _key(archive: str) -> str:
    return f"unpacked {archive}"
