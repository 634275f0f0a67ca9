"""What the file system tells of changes below some folders, reduced to the folders that are worth a look."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import watchfiles

from registry.scan_walk import SKIPPED_FOLDERS, is_model
from registry.sidecar_names import may_be_preview

_STEP_MS, _DEBOUNCE_MS = 400, 1600
"""A program that writes a file tells of it many times: a look waits until it pauses for a step, at most this long."""

_SIDECARS = (".json", ".info", ".txt", ".md", ".sha256", ".csv")


class Notifier(threading.Thread):
    """Puts the paths that changed below ``folders`` into ``changes``, until :meth:`stop`.

    ``problem`` says why nothing is told, if so: the system watches a limited number of folders.
    """

    def __init__(self, folders: Sequence[str], changes: queue.SimpleQueue[set[str]]) -> None:
        super().__init__(name="notifier", daemon=True)
        self.folders = list(folders)
        self.problem = ""
        self._changes = changes
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        if not self.folders:
            return
        try:
            for batch in watchfiles.watch(
                *self.folders,
                watch_filter=_is_worth_a_look,
                debounce=_DEBOUNCE_MS,
                step=_STEP_MS,
                rust_timeout=500,
                stop_event=self._stopped,
                ignore_permission_denied=True,
            ):
                self._changes.put({path for _, path in batch})
        except (OSError, RuntimeError) as error:
            self.problem = f"the system does not tell of changes ({error}): hubman looks every quarter of an hour"


def is_sidecar(path: str) -> bool:
    """Whether a file of this name may be what another program noted beside a model."""
    return path.lower().endswith(_SIDECARS)


def _is_worth_a_look(change: watchfiles.Change, path: str) -> bool:
    folder, name = os.path.split(path)
    if not SKIPPED_FOLDERS.isdisjoint(folder.split("/")) or name in SKIPPED_FOLDERS:
        return False
    if is_model(name) or may_be_preview(name) or is_sidecar(name):
        return True
    # What is gone can't be asked whether it was a folder, and many a folder has a dot in its name.
    return change is watchfiles.Change.deleted or os.path.isdir(path)  # noqa: PTH112 - paths stay texts here


def folders_of(paths: Iterable[str], roots: Sequence[str]) -> list[Path]:
    """The folders in which ``paths`` lie, as far as they are there and inside one of ``roots``; none inside another."""
    found: set[str] = set()
    for path in paths:
        folder = path
        while folder not in {"", "/"} and not os.path.isdir(folder):  # noqa: PTH112 - paths stay texts here
            folder = os.path.dirname(folder)  # noqa: PTH120 - paths stay texts here
        if any(f"{folder}/".startswith(f"{root.rstrip('/')}/") for root in roots):
            found.add(folder)
    return [Path(one) for one in sorted(found) if not any(_is_above(other, one) for other in found)]


def _is_above(folder: str, other: str) -> bool:
    return other != folder and other.startswith(f"{folder.rstrip('/')}/")
