"""What a reading of a file gives to say of it, whether its content has been hashed or only its header read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from registry import changes, projection, timestamps
from registry.scan_read import Reading, kept_metadata

_OLDEST_MTIME = datetime(2015, 1, 1, tzinfo=UTC).timestamp()


def described_by(reading: Reading) -> dict[str, Any]:
    """The facts of a file that need no hash."""
    facts: dict[str, Any] = {
        "name": os.path.basename(reading.seen.path),  # noqa: PTH119 - paths stay texts here
        "format": reading.format,
        "damage": reading.problem,
        "added_at": _added_at(reading),
    }
    identity = reading.identity
    if identity is not None:
        facts |= {
            "network_type": identity.network_type,
            "architecture": identity.architecture,
            "rank": identity.rank,
            "alpha": identity.alpha,
            "dtype": identity.dtype,
            "tensor_count": reading.tensor_count,
        }
    return facts


def file_facts(reading: Reading, version: str) -> dict[str, Any]:
    """All facts of a file that was read to its end."""
    hashes = reading.hashes
    assert hashes is not None, "only a file that was read has hashes"  # noqa: S101 - for the type checker
    facts = {**msgspec.structs.asdict(hashes), "version_id": version, **described_by(reading)}
    del facts["sha256"]
    if reading.header is not None:
        facts["metadata"] = kept_metadata(reading.header.metadata)
    return facts


def _added_at(reading: Reading) -> str:
    """When the file came here: its own time, unless that is nonsense. A first scan must not make all files equally new."""
    seconds = reading.seen.mtime_ns / 1e9
    now = datetime.now(UTC).timestamp()
    return timestamps.of_seconds(seconds if _OLDEST_MTIME <= seconds <= now else now)


def header_facts(db: sqlite3.Connection, reading: Reading, version: str) -> Iterator[changes.Change]:
    identity = reading.identity
    if identity is None:
        kind = _kind_of_unopened(reading)
        if kind != "lora":
            yield changes.set_field(db, version, "guess", "kind", kind)
        return
    if identity.kind != "lora":
        yield changes.set_field(db, version, "header", "kind", identity.kind)
    if identity.title:
        yield changes.set_field(db, version, "header", "name", identity.title)
    if identity.base_model:
        source = "guess" if "base_model" in identity.guesses else "header"
        yield changes.set_field(db, version, source, "base_model", identity.base_model)


_FOLDERS = (
    ("embedding", ("embedding", "textual")),
    ("vae", ("vae",)),
    ("lora", ("lora", "lycoris")),
    ("checkpoint", ("checkpoint", "stable-diffusion", "unet", "diffusion_models")),
)
_LARGE = 1_500_000_000
_TINY = 1_000_000


def _kind_of_unopened(reading: Reading) -> str:
    """What a file that is never opened (a pickle) or can't be read probably is, by its folders and its size."""
    folder = os.path.dirname(reading.seen.path).lower()  # noqa: PTH120 - paths stay texts here
    for kind, words in _FOLDERS:
        if any(word in folder for word in words):
            return kind
    if reading.seen.size >= _LARGE:
        return "checkpoint"
    return "embedding" if reading.format == "pickle" and reading.seen.size < _TINY else "lora"


def trigger_words(db: sqlite3.Connection, reading: Reading, version: str) -> Iterator[changes.Change]:
    """The header's candidates, unless the file inherited words that a person saw and kept."""
    if reading.identity is None or projection.members(db, version, "trigger_words"):
        return
    for word in reading.identity.trigger_candidates:
        yield changes.add_to_set(db, version, "trigger_words", word)


def preview_changes(db: sqlite3.Connection, reading: Reading, version: str) -> Iterator[changes.Change]:
    """Show the picture found with a file, unless the version has or had one: a person may have taken it away."""
    found = reading.preview
    if found is None or has_previews(db, version):
        return
    level = reading.sidecar.preview_level if reading.sidecar else 0
    body = {
        "version_id": version, "sha256": found.sha256, "name": found.name, "width": found.width, "height": found.height,
        "nsfw_level": level, "generation": {}, "source": found.source, "added_at": timestamps.now(),
    }  # fmt: skip
    yield ["rec", "preview", f"{version}/{found.sha256}", body]
    yield changes.add_to_set(db, version, "previews", found.sha256)


def has_previews(db: sqlite3.Connection, version: str) -> bool:
    sql = "SELECT 1 FROM records WHERE kind = 'preview' AND id >= ? AND id < ?"
    return db.execute(sql, (f"{version}/", f"{version}0")).fetchone() is not None
