"""Where weights that are fetched come to lie on this machine: a folder and a path below it, or where they lie already."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from hubman import config
from registry import path_template, places, projection, roots, timestamps
from registry.database import Registry
from registry.errors import HubError, UsageError
from registry.hashing import hash_file
from registry.moved_places import lay
from registry.safe_name import place_under, safe_name, with_suffix


@dataclass(frozen=True)
class Destination:
    """``template`` is a path below ``folder`` such as ``{base}/{type}/{name}``; without one files keep their names."""

    folder: Path
    template: str = ""


def chosen(registry: Registry, folder: Path | None = None) -> Destination:
    """What this machine's settings say, or ``folder``.

    Raises :class:`registry.errors.UsageError` for a template that makes no sense, :class:`HubError` for a folder whose
    drive is away.
    """
    settings = config.settings(registry.home)[0]
    if settings.sync_path:
        _check(settings.sync_path)
    if folder is not None or not settings.sync_into:
        return Destination(folder or registry.models_folder, settings.sync_path)
    into = roots.absolute(Path(settings.sync_into))
    if not into.is_dir():
        raise HubError(f"{into} (sync_into) is no folder now", "is its drive there? make it, or change the setting")
    return Destination(into, settings.sync_path)


def _check(template: str) -> None:
    try:
        path_template.parts(template)
    except UsageError as error:
        raise UsageError(f"{error.message} (sync_path)", error.hint) from error


def target(
    registry: Registry, into: Destination, sha256: str, name: str, size: int, taken: Container[Path] = ()
) -> Path:
    """A free path for a file that other machines call ``name``, or that of one of this content that nobody has indexed.

    Its folder is made. ``taken`` are the places of files that are on their way.
    Raises :class:`HubError` where a link leads out of the folder, or no name is free.
    """
    folder, plain = _folder_and_name(registry, into, sha256, name)
    folder.mkdir(parents=True, exist_ok=True)
    if into.folder.resolve() / folder.relative_to(into.folder) != folder.resolve():
        raise HubError(f"{folder} is reached through a link", "replace the link by a folder, or change sync_into")
    for candidate in (plain, with_suffix(plain, sha256[:8]), with_suffix(plain, sha256)):
        path = place_under(folder, candidate)
        if not path.exists():
            if path in taken:
                continue
            return path
        if path.is_file() and path.stat().st_size == size and hash_file(path).sha256 == sha256:
            return path
    raise HubError(f"there is no free name for {plain} in {folder}", "move the files of that name")


def arrived(registry: Registry, path: Path, sha256: str, *, fetched_from: str = "") -> None:
    """Index the file in its place, and tell the other devices. ``fetched_from`` is the remote from which all of it came."""
    with registry.transaction() as db:
        if roots.covering_root(registry, path) is None:
            roots.add(registry, path.parent)
        projection.rebuild(db, lay(registry, places.seen_from(str(path), path.stat()), sha256, None, None))
        db.execute("DELETE FROM dropped WHERE sha256 = ?", (sha256,))
        if fetched_from:
            db.execute("INSERT OR REPLACE INTO fetched VALUES (?, ?, ?)", (sha256, fetched_from, timestamps.now()))


def _folder_and_name(registry: Registry, into: Destination, sha256: str, name: str) -> tuple[Path, str]:
    plain = safe_name(name)
    if not into.template:
        return into.folder, plain
    # Late: it brings in all that moves files, and few machines have a template.
    from registry import organise

    values = organise.values_of(registry.db, sha256)
    if values is None:
        return into.folder, plain
    folders, stem = path_template.fill(path_template.parts(into.template), values)
    return into.folder.joinpath(*folders), safe_name(stem + Path(plain).suffix)
