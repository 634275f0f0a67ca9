"""Finding the model files below a folder: through links but not round in circles, past what can't be read."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from registry.places import NO_STAMPS, Seen, Stamps, seen_from
from registry.roots import is_text, printable
from registry.sidecar_names import may_be_preview, preview_of, stem_of, stems_shown_by
from registry.sidecars import find as find_sidecars

SAFETENSORS = (".safetensors", ".sft")
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
"""Executable when opened the way they are meant to be: hashed and listed, never opened."""
_SUFFIXES = (*SAFETENSORS, *PICKLES, ".gguf")
_BOUND_VAES = (".vae.pt", ".vae.safetensors")
SKIPPED_FOLDERS = {".lm-pending-delete", ".trash", ".download_cache", "__pycache__", ".git"}
_PIPELINE = "model_index.json"
"""A folder that has this file is one base model of many files, not a folder of models."""


@dataclass(frozen=True)
class Problem:
    """A file or folder that could not be taken in, and why, in one line."""

    path: str
    reason: str


@dataclass
class Walk:
    """What lies below some folders. ``same`` are the files that have the stamp they are known by, ``pictured`` those
    of them that no picture shows though one lies beside them, ``files`` the others. ``unread`` are folders whose
    content is unknown, so nothing there is missing, and ``away`` those whose drive is not connected.
    """

    files: dict[str, Seen] = field(default_factory=dict)
    same: set[str] = field(default_factory=set)
    pictured: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    away: list[str] = field(default_factory=list)


def walk(
    folders: Sequence[str],
    beyond: Sequence[str] = (),
    watch: Callable[[int, int], None] | None = None,
    known: Stamps = NO_STAMPS,
) -> Walk:
    """List the model files below ``folders``, each once.

    Files in a folder that is also reached by a link are listed under its real path, in whichever of the folders that
    is; a link into one of the real paths ``beyond`` is not followed. ``watch`` is told of folders (done, known of).
    ``known`` is what is known of files.
    """
    found = Walk()
    been: set[tuple[int, int]] = set()
    real, linked = deque(folders), deque[str]()
    done = 0
    while real or linked:
        path = real.popleft() if real else linked.popleft()
        if watch is not None:
            watch(done, done + 1 + len(real) + len(linked))
        done += 1
        try:
            identity = os.stat(path)  # noqa: PTH116 - paths stay texts here, for speed
            if (identity.st_dev, identity.st_ino) in been:
                continue
            been.add((identity.st_dev, identity.st_ino))
            with os.scandir(path) as listing:
                entries = list(listing)
        except OSError as error:
            _unread(found, path, f"can't be read ({error.strerror})")
            continue
        links: list[str] = []
        _take(found, path, entries, known, real, links)
        linked.extend(link for link in links if not _leads_into(link, beyond))
    return found


def _leads_into(link: str, folders: Sequence[str]) -> bool:
    if not folders:
        return False
    real = f"{os.path.realpath(link)}/"
    return any(real.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def look_at(path: str) -> Seen:
    """One model file with the picture beside it. Raises :class:`OSError`."""
    folder, name = os.path.split(path)
    status = os.stat(path)  # noqa: PTH116 - paths stay texts here
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        names = []
    return _with_companions(folder, name, status, _Names(names))


class _Names:
    """A folder's names, looked through once for all its models."""

    def __init__(self, names: Iterable[str]) -> None:
        self.all = frozenset(names)
        self.pictures = {name.lower(): name for name in self.all if may_be_preview(name) and is_text(name)}


def _with_companions(folder: str, name: str, status: os.stat_result, names: _Names) -> Seen:
    preview = _picture(folder, name, names)
    beside = tuple(f"{folder}/{sidecar}" for sidecar in find_sidecars(name, names.all))
    return seen_from(f"{folder}/{name}", status, preview and f"{folder}/{preview}", beside)


def _picture(folder: str, name: str, names: _Names) -> str | None:
    """The picture that shows the model ``name``; a folder or a pipe that is called so is none."""
    while (found := preview_of(name, names.pictures)) and not os.path.isfile(f"{folder}/{found}"):  # noqa: PTH113
        del names.pictures[found.lower()]
    return found


def _unread(found: Walk, path: str, reason: str) -> None:
    found.unread.append(path)
    found.problems.append(Problem(printable(path), reason))


def _take(
    found: Walk,
    folder: str,
    entries: list[os.DirEntry[str]],
    known: Stamps,
    real: deque[str],
    linked: list[str],
) -> None:
    same, bare, others = _sort_known(entries, known)
    if any(entry.name == _PIPELINE for entry in others):
        return
    found.same.update(same)
    if not others:
        return
    if bare:
        _find_pictures(found, folder, bare, _Names(entry.name for entry in others))
    names: _Names | None = None
    for entry in sorted(others, key=lambda entry: entry.name):
        try:
            if entry.is_dir():
                _take_folder(found, entry, real, linked)
            elif is_model(entry.name):
                names = names or _Names(entry.name for entry in entries)
                _take_file(found, folder, entry, names)
        except OSError as error:
            found.problems.append(Problem(printable(entry.path), f"can't be read ({error.strerror})"))


def _sort_known(entries: list[os.DirEntry[str]], known: Stamps) -> tuple[list[str], list[str], list[os.DirEntry[str]]]:
    """(paths of the files with their stamps, names of those of them that no picture shows, everything else). Most of
    a library has its stamp: here each file costs little more than its stat.
    """
    same: list[str] = []
    bare: list[str] = []
    others: list[os.DirEntry[str]] = []
    stamp_at, shown = known.by_path.get, known.shown
    for entry in entries:
        stamp = stamp_at(entry.path)
        if stamp is None:
            others.append(entry)
            continue
        path, device, inode, size, mtime_ns, sha256 = stamp
        try:
            now = entry.stat()
        except OSError:
            others.append(entry)
            continue
        if now.st_mtime_ns != mtime_ns or now.st_size != size or now.st_ino != inode or now.st_dev != device:
            others.append(entry)
            continue
        same.append(path)
        if sha256 not in shown:
            bare.append(entry.name)
    return same, bare, others


def _find_pictures(found: Walk, folder: str, bare: list[str], names: _Names) -> None:
    stems = {stem for picture in names.pictures for stem in stems_shown_by(picture)}
    inside = folder.rstrip("/")
    for name in bare if stems else ():
        if stem_of(name).lower() in stems and (picture := _picture(inside, name, names)):
            found.pictured[f"{inside}/{name}"] = f"{inside}/{picture}"


def is_model(name: str) -> bool:
    """Whether a file of this name is listed as a model."""
    lower = name.lower()
    return lower.endswith(_SUFFIXES) and not lower.endswith(_BOUND_VAES) and not lower.startswith("._")


def _take_folder(found: Walk, entry: os.DirEntry[str], real: deque[str], linked: list[str]) -> None:
    if entry.name in SKIPPED_FOLDERS:
        return
    if not is_text(entry.name):
        _unread(found, entry.path, "has a name that is not UTF-8")
        return
    (linked if entry.is_symlink() else real).append(entry.path)


def _take_file(found: Walk, folder: str, entry: os.DirEntry[str], names: _Names) -> None:
    if not is_text(entry.name):
        found.problems.append(Problem(printable(entry.path), "has a name that is not UTF-8: rename it"))
        return
    status = entry.stat()
    if stat.S_ISREG(status.st_mode):
        found.files[entry.path] = _with_companions(folder.rstrip("/"), entry.name, status, names)
