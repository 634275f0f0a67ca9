"""One command takes over another program's installation: its folders, its files, and what its sidecars say of them."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from registry import (
    image_folders,
    library,
    scan,
    scan_walk,
    sidecar_store,
    sidecar_view,
    sidecars,
    webui_outputs,
    webui_search,
    webuis,
)
from registry.database import Registry
from registry.errors import UsageError
from registry.scan_plan import Watch
from registry.scan_walk import Problem
from registry.webuis import ModelFolder

_EXAMPLES = 3
_MOST = 200_000
"""Files looked at for what is left out: an installation holds tens of thousands of files that are no models."""


_Told = tuple[str, str, dict[str, Any]]
"""A sidecar's dialect, its path, and what it says by field."""


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How many sidecars of one dialect were read, and how many of them said something of each field."""

    dialect: str
    files: int
    fields: dict[str, int]


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen and not taken, why, and some examples of it."""

    what: str
    count: int
    reason: str
    examples: tuple[str, ...] = ()


class Conflicting(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose sources disagree about these fields."""

    model: str
    name: str
    fields: tuple[str, ...]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken from where. With ``is_plan`` nothing was; conflicts are known only after it."""

    program: str
    base: Path
    folders: tuple[ModelFolder, ...]
    files: int
    """Model files in the folders: a plan knows no more."""
    models: int | None = None
    """Models that those files are; several files may be one. None in a plan."""
    pictures: tuple[Path, ...] = ()
    """The folders of pictures that the program draws into; they are watched after it."""
    scanned: scan.ScanResult | None = None
    dialects: tuple[Dialect, ...] = ()
    conflicts: tuple[Conflicting, ...] = ()
    broken: tuple[Problem, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    is_plan: bool = False


def look(base: Path) -> Imported:
    """What :func:`take_over` would take, found without a registry. Raises :class:`UsageError` for no installation."""
    program, folders = _installation(base)
    found = scan_walk.walk([str(folder.path) for folder in folders])
    told: list[_Told] = []
    broken: list[Problem] = []
    for path, seen in found.files.items():
        said, unread = sidecars.read([Path(one) for one in seen.sidecars], None, Path(path))
        broken += [Problem(str(one), reason) for one, reason in unread]
        parts = said.parts if said else ()
        told += [(part.dialect, str(part.path), sidecar_store.fields_of(part.said)) for part in parts]
    return Imported(
        program=program,
        base=base,
        folders=tuple(folders),
        files=len(found.files),
        pictures=tuple(_pictures(program, base)),
        dialects=tuple(_dialects(told)),
        broken=(*broken, *found.problems),
        left_out=(*_left_out(base, folders), *_unplaced(told)),
        is_plan=True,
    )


def take_over(registry: Registry, base: Path, watch: Watch | None = None) -> Imported:
    """Index the model folders of the program in ``base`` with all that their sidecars say, and watch its pictures.

    Nothing in them is changed. Raises :class:`UsageError` for a folder that holds no installation.
    """
    program, folders = _installation(base)
    taken = webuis.take(registry, folders)
    result = scan.scan(registry, watch, roots=list(dict.fromkeys(one.root for one in taken)))
    rows = {
        (row.sha256, row.path): row for folder in folders for row in sidecar_store.rows_below(registry.db, folder.path)
    }
    told = [(row.dialect, row.path, row.said) for row in rows.values() if row.problem is None]
    models = _models_below(registry, folders)
    pictures = _pictures(program, base)
    with registry.transaction():
        watched = tuple(dict.fromkeys(image_folders.add(registry, one) for one in pictures))
    return Imported(
        program=program,
        base=base,
        folders=tuple(folders),
        files=_files_below(registry, folders),
        models=len(models),
        pictures=watched,
        scanned=result,
        dialects=tuple(_dialects(told)),
        conflicts=tuple(
            Conflicting(model=one.model, name=one.name, fields=tuple(field.field for field in one.conflicts))
            for one in sidecar_view.conflicts(registry, models)
        ),
        broken=tuple(Problem(row.path, row.problem) for row in rows.values() if row.problem),
        left_out=(*_left_out(base, folders), *_unplaced(told)),
    )


def _installation(base: Path) -> tuple[str, list[ModelFolder]]:
    """The program in ``base`` with its model folders; where no mark tells it, the first whose folders are there."""
    full = Path(os.path.abspath(base.expanduser()))  # noqa: PTH100 - resolve() would follow links
    marked = [webui_search.program_in(full / inside) for inside in ("", "ComfyUI", "webui")]
    told = next((one for one in marked if one), None)
    for preset in [told] if told else list(webuis.PRESETS):
        try:
            return preset, webuis.folders(preset, full)
        except UsageError:
            continue
    known = ", ".join(webuis.PRESETS)
    raise UsageError(
        f"{base} holds no program that is known", f"give the folder of one of {known}, or use hubman root add"
    )


def _pictures(program: str, base: Path) -> list[Path]:
    try:
        return webui_outputs.outputs(program, base)
    except UsageError:
        return []


def _files_below(registry: Registry, folders: Sequence[ModelFolder]) -> int:
    found: set[str] = set()
    for folder in folders:
        start = f"{str(folder.path).rstrip('/')}/"
        sql = "SELECT path FROM places WHERE path >= ? AND path < ? AND state <> 'missing'"
        found |= {row[0] for row in registry.db.execute(sql, (start, start[:-1] + "0"))}
    return len(found)


def _models_below(registry: Registry, folders: Sequence[ModelFolder]) -> list[str]:
    found: dict[str, None] = {}
    sql = (
        "SELECT DISTINCT v.model_id FROM places p JOIN files f ON f.sha256 = p.sha256 JOIN versions v ON v.id = f.version_id "
        "WHERE p.path >= ? AND p.path < ? AND p.state <> 'missing'"
    )
    for folder in folders:
        start = f"{str(folder.path).rstrip('/')}/"
        found |= dict.fromkeys(row[0] for row in registry.db.execute(sql, (start, start[:-1] + "0")))
    return [row.id for row in library.model_rows(registry, list(found))]


_NO_FIELDS = {sidecar_store.UNPLACED, "word_origins"}


def _dialects(told: Sequence[_Told]) -> Iterator[Dialect]:
    for name in sorted({dialect for dialect, _, _ in told}):
        said = [fields for dialect, _, fields in told if dialect == name]
        counts = Counter(field for fields in said for field in fields if field not in _NO_FIELDS)
        yield Dialect(dialect=name, files=len(said), fields=dict(sorted(counts.items())))


# what has no place here -------------------------------------------------------------------------------------------------

_LEFT: tuple[tuple[str, Callable[[str], bool], str], ...] = (
    (
        "recipes of LoRA Manager",
        lambda name: name.endswith(".recipe.json"),
        "hubman keeps no combinations of LoRAs yet",
    ),
    ("prompt styles", lambda name: name == "styles.csv", "hubman keeps no prompt styles"),
    ("pages of Civitai", lambda name: name.endswith(".html"), "they stay beside their models and move with them"),
    (
        "configurations of checkpoints",
        lambda name: name.endswith((".yaml", ".yml")),
        "they stay beside their models and move with them",
    ),
    (
        "VAEs bound to a checkpoint",
        lambda name: name.endswith((".vae.pt", ".vae.safetensors")),
        "they belong to their checkpoint",
    ),
    (
        "unfinished downloads",
        lambda name: name.endswith((".part", ".downloading", ".aria2", ".crdownload", ".tmp")),
        "they are no models yet",
    ),
)


def _unplaced(told: Sequence[_Told]) -> Iterator[LeftOut]:
    """What stands in sidecars that were read and has no place in hubman."""
    found: dict[str, list[str]] = {}
    for dialect, path, fields in told:
        for key in fields.get(sidecar_store.UNPLACED, []):
            found.setdefault(f"{key} in {dialect}", []).append(path)
    for what, paths in sorted(found.items()):
        reason = "hubman has no such field; it stays in the sidecar"
        yield LeftOut(what=what, count=len(paths), reason=reason, examples=tuple(paths[:_EXAMPLES]))


_PLAIN = "JSON files of no known shape"


def _left_out(base: Path, folders: Sequence[ModelFolder]) -> Iterator[LeftOut]:
    found: dict[str, list[str]] = {}
    for path in _files(base, folders):
        name = os.path.basename(path).lower()  # noqa: PTH119 - paths stay texts here
        kind = next((what for what, fits, _ in _LEFT if fits(name)), None)
        if kind is None and name.endswith(".json") and _is_foreign(path):
            kind = _PLAIN
        if kind is not None:
            found.setdefault(kind, []).append(path)
    reasons = {what: reason for what, _, reason in _LEFT} | {_PLAIN: "they are left alone beside their models"}
    for what, paths in found.items():
        yield LeftOut(what=what, count=len(paths), reason=reasons[what], examples=tuple(paths[:_EXAMPLES]))


def _is_foreign(path: str) -> bool:
    """Whether a JSON file lies beside a model of its stem and none of the known programs wrote it."""
    stem = path.removesuffix(".json")
    model = next((Path(stem + ending) for ending in _MODELS if Path(stem + ending).exists()), None)
    if model is None:
        return False
    said, broken = sidecars.read([Path(path)], None, model)
    return said is None and not broken


_MODELS = (*scan_walk.SAFETENSORS, *scan_walk.PICKLES, ".gguf")


def _files(base: Path, folders: Sequence[ModelFolder]) -> Iterator[str]:
    """The files beside the program and below its model folders, each once, links not followed."""
    seen: set[str] = set()
    with_top: list[tuple[str, list[str]]] = []
    with contextlib.suppress(OSError):
        with_top = [(str(base), [entry.name for entry in os.scandir(base) if entry.is_file(follow_symlinks=False)])]
    walked = ((folder, names) for one in folders for folder, _, names in os.walk(one.path))
    for folder, names in [*with_top, *walked]:
        for name in sorted(names):
            path = f"{folder.rstrip('/')}/{name}"
            if path not in seen and len(seen) < _MOST:
                seen.add(path)
                yield path
