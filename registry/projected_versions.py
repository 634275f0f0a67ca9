"""The rows of ``versions`` and ``previews``, from the state."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Annotated, Any

import msgspec

from registry import levels, many
from registry.known import Best, File, Known, columns


def rebuild(db: sqlite3.Connection, items: Sequence[str], known: Known) -> set[str]:
    """Rebuild those of ``items`` that are versions; returns the models that they belong to. Call inside a transaction."""
    known.read(items)
    known.read_files(items)
    live = [item for item in items if not _is_past(known.files(item), known.best(item))]
    if gone := set(items) - set(live):
        many.delete(db, "versions", "id", many.listed(gone))
    first = _rebuild_previews(db, live, known)
    rows = [_row(version, known) | {"preview": first.get(version)} for version in live]
    many.write(db, "versions", rows, key=itemgetter("id"))
    return {row["model_id"] for row in rows}


def _is_past(files: Sequence[File], best: Best) -> bool:
    """Whether there is no such version, or it is history: damaged, or replaced in place by its successor, and no longer
    on this machine.
    """
    if not files:
        return True
    if files[0].damage is None and "replaced_by" not in best:
        return False
    return all(state == "missing" for _, state in files[0].places)


def _row(version: str, known: Known) -> dict[str, Any]:
    files, best = known.files(version), known.best(version)
    file = files[0]
    return {
        "id": version,
        "name": "",
        "architecture": file.architecture,
        "changelog": known.texts(version).get("changelog"),
        "network_type": file.network_type,
        "rank": file.rank,
        "alpha": file.alpha,
        "size": file.size,
        "trigger_words": msgspec.json.encode(known.sets(version).get("trigger_words", [])).decode(),
        "added_at": file.added_at,
        "is_damaged": any(one.damage is not None for one in files),
        **columns(best, "version"),
        "model_id": str(best["model"][0]) if "model" in best else version,
    }


_Number = Annotated[int, msgspec.Meta(ge=-(1 << 53), le=1 << 53)]


class _PreviewBody(msgspec.Struct):
    """What a preview's record must be for the preview to be shown; it may come from anywhere."""

    name: str = ""
    width: _Number = 0
    height: _Number = 0
    nsfw_level: _Number = 0
    position: _Number | None = None
    generation: dict[str, Any] = {}
    source: str = "user"
    added_at: str = ""


_decode_preview = msgspec.json.Decoder(_PreviewBody).decode
_RECORDS = "SELECT r.id, r.body FROM json_each(?) j CROSS JOIN records r ON r.kind = 'preview' AND r.id = j.value"


def _rebuild_previews(db: sqlite3.Connection, versions: Sequence[str], known: Known) -> dict[str, str]:
    """Returns the SHA-256 of each version's first picture."""
    many.delete(db, "previews", "version_id", many.listed(versions))
    shown = {version: pictures for version in versions if (pictures := known.sets(version).get("previews"))}
    if not shown:
        return {}
    ids = [f"{version}/{sha256}" for version, pictures in shown.items() for sha256 in pictures]
    records = dict(db.execute(_RECORDS, (many.listed(ids),)).fetchall())
    first: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    for version, pictures in shown.items():
        made = [
            _preview(version, sha256, number, records[f"{version}/{sha256}"], known.best(version))
            for number, sha256 in enumerate(pictures)
            if f"{version}/{sha256}" in records
        ]
        of_version = [row for row in made if row is not None]
        rows += of_version
        if of_version:
            first[version] = min(of_version, key=itemgetter("position", "added_at", "sha256"))["sha256"]
    many.write(db, "previews", rows, key=itemgetter("version_id", "sha256"))
    return first


def _preview(version: str, sha256: str, number: int, record: str, best: Best) -> dict[str, Any] | None:
    """One row. A person's word on a picture's level counts more than the record's."""
    try:
        body = _decode_preview(record)
    except msgspec.ValidationError:
        return None
    level = best.get(levels.field_of(sha256), (None, ""))[0]
    position = body.position if body.position is not None else number
    return {
        "version_id": version,
        "sha256": sha256,
        **msgspec.structs.asdict(body),
        "nsfw_level": level if levels.is_level(level) else body.nsfw_level,
        "position": -1 if sha256 == best.get("cover", ("", ""))[0] else position,
        "generation": msgspec.json.encode(body.generation).decode(),
    }
