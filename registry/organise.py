"""Give files folders and names that follow from what is known of them, by a template such as ``{base}/{creator}/{model}``.

A template is a path below the file's own root; its last part names the file, whose ending stays. One that ends in ``/``
leaves files their names. Sidecars and previews go along under the new name.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import msgspec

from registry import journal, library, moving, places, roots
from registry.database import Registry
from registry.errors import UsageError
from registry.journal import Entry, Move
from registry.records import FileRow, ModelDetail, VersionRow
from registry.safe_name import safe_part
from registry.sidecar_names import stem_of
from registry.trash import with_companions

FIELDS = ("base", "type", "creator", "model", "version", "tag", "trigger", "rank", "yyyy", "hash8", "run", "name")
"""``name`` is the file's present name without its ending."""

UNKNOWN = "unknown"
_FIELD = re.compile(r"\{([^{}]*)\}")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Where one model file would go. With a ``conflict`` it stays; ``moves`` also has what goes along with it."""

    model: str
    name: str
    source: str
    target: str
    conflict: str = ""
    moves: tuple[Move, ...] = ()


def plan(registry: Registry, template: str, models: Sequence[str]) -> list[Line]:
    """Where the files of these models would go; those that are there already are left out.

    Raises :class:`UsageError` for a template that makes no sense.
    """
    parts = _parts(template)
    lines = [
        _line(registry, parts, model, version, file, place.path)
        for model in (library.show(registry, one) for one in models)
        for version in model.versions
        for file in version.files
        for place in file.places
        if place.state == places.PRESENT
    ]
    counts = Counter(target.casefold() for line in lines for _, target in line.moves)
    moved = [line for line in lines if line.source != line.target]
    return [line if line.conflict else _checked(line, counts) for line in moved]


def carry_out(registry: Registry, lines: Sequence[Line]) -> Entry | None:
    """Move what has no conflict, as one entry of the journal; None if nothing is left to move.

    Raises :class:`registry.errors.HubError`, with every file where it was, when one can't be moved.
    """
    sound = [line for line in lines if not line.conflict]
    if not sound:
        return None
    moves = [move for line in sound for move in line.moves]
    models = list(dict.fromkeys(line.model for line in sound))
    label = f"{len(sound)} files organised"

    def finish(_: object) -> Entry | None:
        return journal.write(registry, "organise", label, models, lambda: None, moves=moves)

    return moving.carry_out(registry, moves, finish)


def _parts(template: str) -> list[str]:
    """The parts of a template; the last is the file's name."""
    for name in _FIELD.findall(template):
        if name not in FIELDS:
            near = get_close_matches(name, FIELDS, 1, 0.5)
            hint = f"did you mean {{{near[0]}}}?" if near else f"fields are {', '.join(FIELDS)}"
            raise UsageError(f"there is no field {{{name}}}", hint)
    if "{" in _FIELD.sub("", template) or "}" in _FIELD.sub("", template):
        raise UsageError(f"{template!r} has a bracket that is not closed", "write for example {base}/{creator}/{model}")
    parts = [part.strip() for part in template.strip().split("/")]
    named = parts if parts[-1] else [*parts[:-1], "{name}"]
    if not template.strip("/ ") or not all(named):
        raise UsageError(f"{template!r} is no path of folders", "write for example {base}/{creator}/{model}")
    return named


def _line(
    registry: Registry, parts: list[str], model: ModelDetail, version: VersionRow, file: FileRow, source: str
) -> Line:
    values = _values(registry, model, version, file, source)
    *folders, stem = (safe_part(_FIELD.sub(lambda found: values[found[1]], part), fallback=UNKNOWN) for part in parts)
    root = roots.covering_root(registry, Path(source)) or Path(source).parent
    ending = Path(source).name[len(stem_of(Path(source).name)) :]
    target = str(root.joinpath(*folders, stem + ending))
    if Path(source).is_symlink():
        return Line(model=model.id, name=model.name, source=source, target=target, conflict="it is a link")
    if not file.sha256 and any("{hash8}" in part for part in parts):
        why = "it has no hash yet: scan first"
        return Line(model=model.id, name=model.name, source=source, target=target, conflict=why)
    moves = tuple(_along(one, source, target) for one in with_companions(source))
    return Line(model=model.id, name=model.name, source=source, target=target, moves=moves)


def _values(registry: Registry, model: ModelDetail, version: VersionRow, file: FileRow, source: str) -> dict[str, str]:
    run = library.run_of(registry, version.id)
    found: dict[str, object] = {
        "base": version.base_model,
        "type": version.network_type or model.kind,
        "creator": model.creator,
        "model": model.name,
        "version": version.name,
        "tag": next(iter(model.tags), None),
        "trigger": next(iter(version.trigger_words), None),
        "rank": version.rank,
        "yyyy": file.added_at[:4],
        "hash8": file.sha256[:8],
        "run": run.name if run else None,
        "name": stem_of(Path(source).name),
    }
    return {name: str(value or UNKNOWN) for name, value in found.items()}


def _along(path: str, source: str, target: str) -> Move:
    """A file that is named after ``source``, named after ``target``."""
    name, old, new = (Path(one).name for one in (path, source, target))
    rest = new + name[len(old) :] if name.startswith(old) else stem_of(new) + name[len(stem_of(old)) :]
    return path, str(Path(target).parent / rest)


def _checked(line: Line, counts: Counter[str]) -> Line:
    conflict = next(filter(None, (_conflict(move, counts) for move in line.moves)), "")
    return msgspec.structs.replace(line, conflict=conflict)


def _conflict(move: Move, counts: Counter[str]) -> str:
    source, target = move
    if counts[target.casefold()] > 1:
        return f"several files would be {Path(target).name}: add {{hash8}} to the template"
    if os.path.lexists(target):
        return f"{Path(target).name} is there already"
    folder = next(folder for folder in Path(target).parents if folder.exists())
    if not folder.is_dir():
        return f"{folder} is no folder"
    return "" if folder.stat().st_dev == os.lstat(source).st_dev else f"{folder} is on another drive"
