"""Files in the indexed folders that no scan has listed yet: what somebody looks for may be among them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from registry import places, roots, scan
from registry.database import Registry
from registry.errors import HubError
from registry.here import is_here
from registry.ignoring import Ignoring
from registry.scan_walk import walk


class Unlisted:
    """Looks through the folders once, by names and sizes, when it is asked first."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._by_size: dict[int, list[str]] | None = None

    def find(self, sha256: str, size: int) -> bool:
        """Index the files of ``size`` bytes until one has this content; whether one has.

        Those that are listed and not hashed go first, for they are known to be models.
        """
        registry = self._registry
        if is_here(registry.db, sha256):
            return True
        scan.hash_those_of(registry, size)
        if is_here(registry.db, sha256):
            return True
        for path in self._of_size(size):
            # It may have gone meanwhile, or can't be read; then it is not the one.
            with contextlib.suppress(HubError):
                scan.index_file(registry, Path(path))
            if is_here(registry.db, sha256):
                return True
        return False

    def _of_size(self, size: int) -> list[str]:
        if self._by_size is None:
            self._by_size = self._look()
        return self._by_size.pop(size, [])

    def _look(self) -> dict[int, list[str]]:
        registry = self._registry
        folders = sorted({*roots.all_roots(registry), roots.absolute(registry.models_folder)})
        names = [str(folder) for folder in folders if folder.is_dir()]
        found = walk(names, known=places.stamps_under(registry.db, names))
        known = places.known_of(registry.db, list(found.files))
        ignored = Ignoring(registry)
        by_size: dict[int, list[str]] = {}
        for path, seen in found.files.items():
            if path not in known and not ignored(path):
                by_size.setdefault(seen.size, []).append(path)
        return by_size
