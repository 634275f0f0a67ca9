"""What a reading means for the registry: the file, what it says of itself, where it lies, what it replaced."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from registry import changes, clock, ids, places, projection, sidecar_store, timestamps
from registry.inherit import inheriting
from registry.places import Known
from registry.scan_read import Reading, kept_metadata
from registry.scan_sidecar import sidecar_changes

_OLDEST_MTIME = datetime(2015, 1, 1, tzinfo=UTC).timestamp()


def write(
    db: sqlite3.Connection, reading: Reading, root: str, source: Known | None = None, *, is_first: bool = False
) -> set[str]:
    """Take one reading in; returns the items whose projection must be rebuilt. Call inside a transaction.

    ``source`` is where the file lay before, if it was moved: with the same content, or with another header. With
    ``is_first`` this scan is the first to see its content, even if it saw it in another place before.
    """
    before = places.known_at(db, reading.seen.path)
    now = timestamps.now()
    if source is not None:
        places.forget(db, source.path)
    if reading.hashes is None:
        # What lay here may lie here still; without a time it is read again as soon as it can be.
        kept = before.sha256 if before else None
        seen = replace(reading.seen, mtime_ns=places.UNREAD)
        places.put(db, seen, root=root, sha256=kept, problem=reading.problem, at=now)
        return {ids.item_id(kept)} if kept else set()
    sha256 = reading.hashes.sha256
    # What was found out about the numbers of this content goes on to hold of them.
    verified = next((one for one in (before, source) if one and one.sha256 == sha256 and one.verified_at), None)
    places.put(
        db,
        reading.seen,
        root=root,
        sha256=sha256,
        problem=reading.problem or (verified.problem if verified else None),
        at=now,
        verified_at=verified.verified_at if verified else None,
    )
    left = next((one for one in (before, source) if one and one.sha256 not in {None, sha256}), None)
    touched = changes.record(db, _said(db, reading, sha256, left, is_first=is_first))
    beside = [(Path(problem.path), problem.reason) for problem in reading.broken]
    sidecar_store.keep(db, reading.seen.path, sha256, reading.sidecar, beside)
    # Where a file lies is no change that syncs, and still part of what the lists show.
    return touched | {ids.item_id(content) for content in (sha256, left and left.sha256) if content}


def _said(
    db: sqlite3.Connection, reading: Reading, sha256: str, left: Known | None, *, is_first: bool
) -> Iterator[changes.Change]:
    """All that the reading gives to say, also about the content that ``left`` the place where it was known."""
    version = ids.item_id(sha256)
    is_new = db.execute("SELECT 1 FROM files WHERE sha256 = ?", (sha256,)).fetchone() is None
    if is_new:
        yield ["file", sha256, _file_facts(reading, version)]
        yield from _header_facts(db, reading, version)
    elif db.execute(_REPLACED, (version,)).fetchone():
        yield changes.set_field(db, version, "file", "replaced_by", None)
    if left is not None and left.sha256 is not None:
        if is_new or is_first:
            yield from inheriting(db, ids.item_id(left.sha256), version)
        yield from _replaced(db, left.path, left.sha256, sha256)
    if is_new:
        yield from _trigger_words(db, reading, version)
    if reading.sidecar is not None:
        yield from sidecar_changes(db, reading.sidecar, version, is_new=is_new)
    yield from held(db, sha256)
    yield from preview_changes(db, reading, version)


_REPLACED = "SELECT 1 FROM facts WHERE item = ? AND field = 'replaced_by' AND value <> 'null'"


def _replaced(db: sqlite3.Connection, path: str, left: str, sha256: str) -> Iterator[changes.Change]:
    """Content gave way to other content; if it lies nowhere else, it is history."""
    db.execute("INSERT OR REPLACE INTO file_history VALUES (?, ?, ?, ?)", (path, left, sha256, timestamps.now()))
    if not db.execute("SELECT 1 FROM places WHERE sha256 = ?", (left,)).fetchone():
        yield changes.set_field(db, ids.item_id(left), "file", "replaced_by", ids.item_id(sha256))
    yield from held(db, left)


def _file_facts(reading: Reading, version: str) -> dict[str, object]:
    hashes, identity = reading.hashes, reading.identity
    assert hashes is not None, "only a file that was read has facts"  # noqa: S101 - for the type checker
    facts: dict[str, object] = {
        **msgspec.structs.asdict(hashes),
        "version_id": version,
        "name": os.path.basename(reading.seen.path),  # noqa: PTH119 - paths stay texts here
        "format": reading.format,
        "damage": reading.problem,
        "added_at": _added_at(reading),
    }
    del facts["sha256"]
    if identity is not None and reading.header is not None:
        facts |= {
            "network_type": identity.network_type,
            "architecture": identity.architecture,
            "rank": identity.rank,
            "alpha": identity.alpha,
            "dtype": identity.dtype,
            "tensor_count": len(reading.header.tensors),
            "metadata": kept_metadata(reading.header.metadata),
        }
    return facts


def _added_at(reading: Reading) -> str:
    """When the file came here: its own time, unless that is nonsense. A first scan must not make all files equally new."""
    seconds = reading.seen.mtime_ns / 1e9
    now = datetime.now(UTC).timestamp()
    return timestamps.of_seconds(seconds if _OLDEST_MTIME <= seconds <= now else now)


def _header_facts(db: sqlite3.Connection, reading: Reading, version: str) -> Iterator[changes.Change]:
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


def _trigger_words(db: sqlite3.Connection, reading: Reading, version: str) -> Iterator[changes.Change]:
    """The header's candidates, unless the file inherited words that a person saw and kept."""
    if reading.identity is None or projection.members(db, version, "trigger_words"):
        return
    for word in reading.identity.trigger_candidates:
        yield changes.add_to_set(db, version, "trigger_words", word)


def held(db: sqlite3.Connection, sha256: str) -> Iterator[changes.Change]:
    """Tell other machines whether this one has the file, if that is news."""
    device = clock.device_id(db)
    place = db.execute("SELECT 1 FROM places WHERE sha256 = ? AND state <> ?", (sha256, places.MISSING)).fetchone()
    state = "present" if place else "gone"
    said = db.execute("SELECT state FROM holdings WHERE device = ? AND sha256 = ?", (device, sha256)).fetchone()
    if (said[0] if said else "gone") != state:
        yield ["have", device, sha256, state, clock.tick(db)]


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
