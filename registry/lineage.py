"""Where a version comes from and what became of it: its training, its base, what it was merged from, its epochs.

What hubman recorded itself counts more than what the header says: the keys ``ss_*`` of kohya's scripts,
``modelspec.merged_from`` (a comma list) and ``sd_merge_models`` (A1111's mergers: JSON, hash to ``{"name": …}``).
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

import msgspec

from registry import library
from registry.database import Registry
from registry.decodable import decodable
from registry.records import FileRow, RunRow, VersionRow


class Relative(msgspec.Struct, frozen=True, kw_only=True):
    """Another version that came from the same training, or took this one's place."""

    version_id: str
    model_id: str
    name: str
    epoch: int | None = None


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """A file that this one was made of by hubman. The ids are empty where the library does not know it."""

    sha256: str
    name: str
    ratio: float = 1.0
    version_id: str = ""
    model_id: str = ""


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Empty where nothing is known. ``trained_at`` is a day, ``dataset_path`` a folder of this machine."""

    run: str = ""
    trained_at: str = ""
    steps: int | None = None
    epoch: int | None = None
    dataset: str = ""
    """The fingerprint of the images, else the folders that the header names."""
    dataset_path: str = ""
    base_path: str = ""
    """Where this machine's training took its base from."""
    base: str = ""
    """The checkpoint that it was trained on, as the trainer called it."""
    merged_from: tuple[str, ...] = ()
    parents: tuple[Parent, ...] = ()
    """The same as hubman's own header has it, by content."""
    epochs: tuple[Relative, ...] = ()
    """All versions of its training that are here, itself among them, by epoch; empty if it is the only one."""
    replaced_by: Relative | None = None

    @property
    def merged_words(self) -> tuple[str, ...]:
        """``merged_from`` with the ratios where they are known."""
        return (
            tuple(one.name if one.ratio == 1 else f"{one.name} x {one.ratio:g}" for one in self.parents)
            or self.merged_from
        )


def of(registry: Registry, version: VersionRow) -> Lineage:
    """What is known of the lineage of a version."""
    file = version.files[0] if version.files else None
    metadata: Mapping[str, str] = file.metadata if file else {}
    run = _run(registry, version.id)
    return Lineage(
        **(_recorded(registry, run) if run else _from_header(metadata)),
        epoch=_whole(metadata.get("ss_epoch")),
        base=_base(metadata),
        merged_from=_merged_from(metadata),
        parents=_parents(registry, metadata),
        epochs=_epochs(registry, version, file) if file else (),
        replaced_by=_successor(registry, version.id),
    )


def _run(registry: Registry, version_id: str) -> RunRow | None:
    """The training that was recorded; a record from elsewhere that is none counts as none."""
    try:
        return library.run_of(registry, version_id)
    except msgspec.ValidationError:
        return None


def _recorded(registry: Registry, run: RunRow) -> dict[str, Any]:
    recipe = _recipe(registry, run.id)
    return {
        "run": run.name,
        "trained_at": (run.finished_at or run.started_at)[:10],
        "steps": run.steps,
        "dataset": run.dataset_fingerprint[:12],
        "dataset_path": str(recipe.get("dataset", "")),
        "base_path": str(recipe.get("base", "")),
    }


def _recipe(registry: Registry, version_id: str) -> dict[str, Any]:
    """The recipe of this machine's job, which names folders: records that travel hold none."""
    sql = "SELECT request FROM jobs WHERE kind = 'train' AND json_extract(result, '$.version_id') = ?"
    row = registry.db.execute(sql, (version_id,)).fetchone()
    if row is None:
        return {}
    try:
        return tomllib.loads(Path(msgspec.json.decode(row[0])["recipe"]).read_text())
    except (OSError, ValueError, KeyError, TypeError):
        return {}


_TRAINED = ("ss_session_id", "ss_training_started_at", "ss_steps", "ss_dataset_dirs")
"""What only a trainer writes; ``ss_output_name`` is also copied by tools that edit headers."""


def _from_header(metadata: Mapping[str, str]) -> dict[str, Any]:
    return {
        "run": metadata.get("ss_output_name", "") if any(name in metadata for name in _TRAINED) else "",
        "trained_at": _day(metadata.get("ss_training_started_at", "")),
        "steps": _whole(metadata.get("ss_steps")),
        "dataset": ", ".join(_names(metadata.get("ss_dataset_dirs", ""))),
    }


def _base(metadata: Mapping[str, str]) -> str:
    name = PurePath(metadata.get("ss_sd_model_name", "").replace("\\", "/")).name
    digest = metadata.get("ss_new_sd_model_hash") or metadata.get("ss_sd_model_hash") or ""
    return " ".join(part for part in (name, digest[:10]) if part and part != "None")


def _merged_from(metadata: Mapping[str, str]) -> tuple[str, ...]:
    stated = [name.strip() for name in metadata.get("modelspec.merged_from", "").split(",")]
    return tuple(name for name in stated if name) or tuple(_names(metadata.get("sd_merge_models", ""), "name"))


_MADE = ("hubman.merge", "hubman.resize", "hubman.extract", "hubman.converted")
"""JSON objects whose ``parents`` are objects with a ``sha256``, for a merge also a ``ratio``."""
_BY_HASH = """
SELECT v.id, v.model_id, m.name FROM files f JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id
WHERE f.sha256 = ?
"""


class _Stated(msgspec.Struct, frozen=True):
    sha256: str
    ratio: float = 1.0


class _Recipe(msgspec.Struct, frozen=True):
    parents: tuple[_Stated, ...] = ()


def _parents(registry: Registry, metadata: Mapping[str, str]) -> tuple[Parent, ...]:
    # A conversion copies its parent's header, so its own entry, the last one, tells the nearest parents.
    text = next((metadata[name] for name in reversed(_MADE) if name in metadata), "")
    try:
        stated = msgspec.json.decode(text, type=decodable(_Recipe)).parents if text else ()
    except (msgspec.MsgspecError, RecursionError):
        return ()
    names = _merged_from(metadata)
    found = []
    for number, one in enumerate(stated):
        row = registry.db.execute(_BY_HASH, (one.sha256,)).fetchone()
        said = names[number] if len(names) == len(stated) and _MADE[-1] not in metadata else one.sha256[:12]
        found.append(
            Parent(
                sha256=one.sha256,
                name=row["name"] if row else said,
                ratio=one.ratio,
                version_id=row["id"] if row else "",
                model_id=row["model_id"] if row else "",
            )
        )
    return tuple(found)


def _names(text: str, key: str = "") -> list[str]:
    """The keys of a JSON object, or what its values call ``key``; none of what is no such thing."""
    try:
        found = msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, RecursionError):
        return []
    if not isinstance(found, dict):
        return []
    if not key:
        return [PurePath(name).name for name in found]
    return [str(value[key]) for value in found.values() if isinstance(value, dict) and value.get(key)]


def _day(seconds: str) -> str:
    try:
        return datetime.fromtimestamp(float(seconds), UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def _whole(text: object) -> int | None:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 12 else None


# epochs of one training: kohya's scripts write ``NAME-000002`` and ``NAME-step00000500`` beside ``NAME``, ai-toolkit
# ``NAME_000000500`` (steps), others ``NAME_epoch_2`` or ``NAME_e2``
_TAIL = re.compile(r"(?i)[-_. ](?:\d{3,10}|(?:e|epoch|step|s)[-_]?\d{1,10}|last|final)$")
_EPOCH = re.compile(r"(?i)[-_. ](?:e|epoch)[-_]?(\d{1,10})$|-(0\d{5})$")
_STEP = re.compile(r"(?i)[-_. ](?:step|s)[-_]?(\d{1,10})$|[-_](0\d{6,9})$")
_MOST = 400
"""Files beside it that are looked at."""

_BESIDE = "SELECT path, sha256 FROM places WHERE path >= ? AND path < ? AND sha256 IS NOT NULL ORDER BY path LIMIT ?"
_SAID = """
SELECT v.id, v.model_id, m.name, f.architecture, f.rank, f.network_type, f.metadata
FROM files f JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id WHERE f.sha256 = ?
"""


class _State(msgspec.Struct, frozen=True):
    """What a file tells of the training that it is a state of, and of how far that had come."""

    relative: Relative
    step: int | None
    session: str
    traits: tuple[object, ...]
    """What all states of a training have in common: what is trained, how large, and under which name."""

    @property
    def is_numbered(self) -> bool:
        return self.relative.epoch is not None or self.step is not None

    @property
    def order(self) -> tuple[float, float, str]:
        epoch, step = self.relative.epoch, self.step
        return (math.inf if epoch is None else epoch, math.inf if step is None else step, self.relative.name)

    def is_of_run(self, other: _State) -> bool:
        """A session that both name decides; without one the traits do."""
        if self.session and other.session:
            return self.session == other.session
        return self.traits == other.traits


def _epochs(registry: Registry, version: VersionRow, file: FileRow) -> tuple[Relative, ...]:
    found: dict[str, _State] = {}
    for place in file.places:
        path = PurePath(place.path)
        own = _state(registry, file.sha256, path)
        if own is None or not own.is_numbered:
            continue
        states = (_state(registry, sha256, other) for other, sha256 in _beside(registry, path))
        found |= {one.relative.version_id: one for one in states if one and one.is_numbered and own.is_of_run(one)}
    if set(found) <= {version.id}:
        return ()
    return tuple(one.relative for one in sorted(found.values(), key=lambda one: one.order))


def _state(registry: Registry, sha256: str, path: PurePath) -> _State | None:
    row = registry.db.execute(_SAID, (sha256,)).fetchone()
    if row is None:
        return None
    metadata: dict[str, str] = msgspec.json.decode(row["metadata"])
    epoch, step = _whole(metadata.get("ss_epoch")), _whole(metadata.get("ss_steps"))
    relative = Relative(
        version_id=row["id"],
        model_id=row["model_id"],
        name=row["name"],
        epoch=_numbered(_EPOCH, path.stem) if epoch is None else epoch,
    )
    output = _TAIL.sub("", metadata.get("ss_output_name", ""))
    return _State(
        relative,
        _numbered(_STEP, path.stem) if step is None else step,
        metadata.get("ss_session_id", ""),
        (row["architecture"], row["rank"], row["network_type"], output),
    )


def _numbered(pattern: re.Pattern[str], stem: str) -> int | None:
    match = pattern.search(stem)
    return int(next(filter(None, match.groups()))) if match else None


def _beside(registry: Registry, path: PurePath) -> list[tuple[PurePath, str]]:
    """The files in the same folder whose names differ only in the number of an epoch or step, with their SHA-256."""
    stem = _TAIL.sub("", path.stem)
    start = str(path.parent / stem)
    rows = registry.db.execute(_BESIDE, (start, start + "\U0010ffff", _MOST))
    names = ((PurePath(other), sha256) for other, sha256 in rows)
    return [
        (other, sha256)
        for other, sha256 in names
        if other.parent == path.parent and other.suffix == path.suffix and _TAIL.sub("", other.stem) == stem
    ]


def _successor(registry: Registry, version_id: str) -> Relative | None:
    row = registry.db.execute(_SUCCESSOR, (version_id,)).fetchone()
    return Relative(version_id=row["id"], model_id=row["model_id"], name=row["name"]) if row else None


_SUCCESSOR = """
SELECT w.id, w.model_id, m.name FROM versions v JOIN versions w ON w.id = v.replaced_by JOIN models m ON m.id = w.model_id
WHERE v.id = ?
"""
