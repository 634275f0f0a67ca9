"""``.hubignore``: which new files of an indexed folder a scan leaves out, in the syntax of ``.gitignore``.

One may lie in any folder below a root and speaks of that folder and those below; what a deeper one says counts more. It
makes nothing go away: neither files that are known already, nor what other machines have.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from registry import roots
from registry.database import Registry
from registry.regular import open_regular

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

NAME = ".hubignore"
_CAP = 1 << 20
"""Bytes of one file that are read."""

_Rules = Sequence[tuple[str, "GitIgnoreSpec"]]
"""(folder with a slash, what the file in it says), the deepest first."""


class Ignoring:
    """Tells which paths are left out; each folder is looked at once. ``problems`` are (file, why it can't be followed)."""

    def __init__(self, registry: Registry) -> None:
        self._root_of = roots.Cover(registry)
        self._known: dict[str, _Rules] = {}
        self.problems: list[tuple[str, str]] = []

    def __call__(self, path: str) -> bool:
        """Whether the model file at ``path``, whose name may be any text, is left out."""
        for folder, spec in self._rules(os.path.dirname(path), self._root_of(path)):  # noqa: PTH120 - paths stay texts
            said = spec.check_file(path.removeprefix(folder)).include
            if said is not None:
                return said
        return False

    def _rules(self, folder: str, root: str) -> _Rules:
        if folder not in self._known:
            above = os.path.dirname(folder)  # noqa: PTH120 - paths stay texts
            outer = self._rules(above, root) if folder != root and folder.startswith(root) and above != folder else ()
            own = self._read(f"{folder.rstrip('/')}/")
            self._known[folder] = [(f"{folder.rstrip('/')}/", own), *outer] if own is not None else outer
        return self._known[folder]

    def _read(self, folder: str) -> GitIgnoreSpec | None:
        path = folder + NAME
        try:
            with open_regular(Path(path)) as file:
                text = file.read(_CAP).decode("utf-8", "replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems.append((path, f"can't be read ({error.strerror})"))
            return None
        # Late: few folders have one.
        from pathspec import GitIgnoreSpec

        lines = []
        for number, line in enumerate(text.splitlines(), 1):
            try:
                GitIgnoreSpec.from_lines([line])
            except ValueError:
                self.problems.append((path, f"line {number} is no pattern"))
            else:
                lines.append(line)
        return GitIgnoreSpec.from_lines(lines)
