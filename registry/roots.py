"""The folders that are indexed, in place: nothing in them is ever moved, renamed or deleted unasked."""

from __future__ import annotations

import os
from pathlib import Path

from registry import timestamps
from registry.database import Registry
from registry.errors import NotFoundError, UsageError


def add(registry: Registry, folder: Path) -> Path:
    """Index ``folder`` from the next scan on; returns the root that covers it, which may be a folder above it.

    A root below ``folder`` becomes part of it. Raises :class:`UsageError` for what is no folder.
    """
    path = checked(folder)
    covering = covering_root(registry, path)
    if covering is not None:
        return covering
    with registry.transaction() as db:
        for root in all_roots(registry):
            if root.is_relative_to(path):
                db.execute("DELETE FROM roots WHERE path = ?", (str(root),))
                db.execute("UPDATE places SET root = ? WHERE root = ?", (str(path), str(root)))
        db.execute("INSERT INTO roots VALUES (?, ?)", (str(path), timestamps.now()))
    return path


def checked(folder: Path) -> Path:
    """``folder``, absolute. Raises :class:`UsageError` for what is no folder, or has a name that fits into no database."""
    path = absolute(folder)
    if not path.is_dir():
        raise UsageError(f"{folder} is no folder", "give a folder that exists")
    if not is_text(str(path)):
        raise UsageError(f"{printable(str(path))} has a name that is not UTF-8", "rename the folder")
    return path


def remove(registry: Registry, folder: Path) -> None:
    """Stop indexing a root; what is known of its files stays. Raises :class:`NotFoundError`."""
    path = absolute(folder)
    with registry.transaction() as db:
        if not db.execute("DELETE FROM roots WHERE path = ?", (str(path),)).rowcount:
            raise NotFoundError(f"{folder} is no indexed folder", "hubman root ls shows them")


def all_roots(registry: Registry) -> list[Path]:
    return [Path(row[0]) for row in registry.db.execute("SELECT path FROM roots ORDER BY path")]


def covering_root(registry: Registry, path: Path) -> Path | None:
    """The root in which ``path`` lies; hubman's own folder of models counts as one."""
    roots = [*all_roots(registry), absolute(registry.models_folder)]
    return next((root for root in roots if path.is_relative_to(root)), None)


class Cover:
    """The root of each of many files: asked once a folder. A file outside every root has its folder for one."""

    def __init__(self, registry: Registry) -> None:
        self._roots = [f"{root}/" for root in (*all_roots(registry), absolute(registry.models_folder))]
        self._known: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        folder = os.path.dirname(path)  # noqa: PTH120 - paths stay texts here, for speed
        if folder not in self._known:
            root = next((root for root in self._roots if path.startswith(root)), folder)
            self._known[folder] = root.rstrip("/") or "/"
        return self._known[folder]


def absolute(path: Path) -> Path:
    """``path`` from the root of the file system, ``..`` resolved and links kept as the person wrote them."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow links


def is_text(name: str) -> bool:
    """Whether a name is proper text: names that are not UTF-8 carry surrogates and fit into no database."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """``name`` with its bytes that are not UTF-8 spelt out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
