"""A file on its way in: ``NAME.HASH.part`` and beside it what is known to be on the disk, so that a kill costs seconds.

The state is written only after the bytes that it claims were flushed, and replaced as a whole. One process at a time
holds the lock of a part. When the file has its final name, the state stays as a mark until the last bytes are flushed:
a file with such a mark is hashed again before anybody trusts it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from hubman.civitai import spans
from hubman.civitai.spans import Spans
from registry import timestamps
from registry.errors import HubError

SAVE_S = 2.0
"""Seconds between two claims: what a kill costs at most."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is on the disk: spans of bytes of the file of ``total`` bytes that the server calls ``etag``.

    ``whole`` is the SHA-256 of the file once it has got its name.
    """

    etag: str = ""
    total: int = 0
    done: tuple[tuple[int, int], ...] = ()
    whole: str = ""


class PartBusyError(HubError):
    """Another process is at this file."""


class Part:
    """An open part, locked against other processes. Close it, however it ends; :meth:`settle` ends a finished one."""

    def __init__(self, dest: Path, sha256: str) -> None:
        """Raises :class:`PartBusyError`, and :class:`HubError` where nothing can be written."""
        self.dest = dest
        self.path = dest.with_name(f"{dest.name}.{sha256[:12] or 'unknown'}.part")
        self.state_path = self.path.with_name(f"{self.path.name}.json")
        self.etag, self.total = "", 0
        self.done: Spans = ()
        self._guard = threading.Lock()
        self._has_name = False
        self._resets = 0
        try:
            dest.parent.mkdir(parents=True, exist_ok=True)
            self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise HubError(f"{self.path} can't be written ({error.strerror})", "choose another folder") from error
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.file)
            raise PartBusyError(f"another process downloads {dest.name}", "wait for it") from None
        self._load()

    def _load(self) -> None:
        state = _read(self.state_path)
        size = os.fstat(self.file).st_size
        self.etag, self.total, self.done = state.etag, state.total, spans.within(state.done, min(size, state.total))

    def reset(self) -> None:
        """Begin anew: the file on the site is another one, or nothing tells whether it is the same."""
        with self._guard:
            self.state_path.unlink(missing_ok=True)
            os.ftruncate(self.file, 0)
            self.etag, self.total, self.done = "", 0, ()
            self._resets += 1

    def write(self, data: memoryview, at: int) -> None:
        """Raises :class:`HubError` when the disk takes no more."""
        try:
            while data:
                count = os.pwrite(self.file, data, at)
                data, at = data[count:], at + count
        except OSError as error:
            raise HubError(
                f"{self.path} can't be written ({error.strerror})", "make room: what has arrived is kept"
            ) from error

    def save(self, done: Spans) -> None:
        """Flush, then claim ``done``. Nothing is claimed when that fails: it only costs a kill more."""
        resets, state = self._resets, State(etag=self.etag, total=self.total, done=done)
        with contextlib.suppress(OSError):
            os.fdatasync(self.file)
            with self._guard:
                if not self._has_name and resets == self._resets:
                    _write(self.state_path, state)

    def discard(self) -> None:
        """Leave nothing of it behind."""
        with self._guard:
            self._has_name = True
            self.path.unlink(missing_ok=True)
            self.state_path.unlink(missing_ok=True)

    def give_name(self, sha256: str) -> None:
        """Turn the part into the file; the caller holds that its content is ``sha256``. Raises :class:`HubError`."""
        with self._guard:
            self._has_name = True
            if os.path.lexists(self.dest):
                raise HubError(f"{self.dest} has appeared meanwhile", "move it, then pull again")
            # A mark counts by being there: flushing it could take all of the file with it, and seconds.
            _write(self.state_path, State(whole=sha256), flush=False)
            self.path.rename(self.dest)

    def settle(self) -> None:
        """Bring the file and its name to the disk, then take the mark away. May take as long as the disk needs."""
        with contextlib.suppress(OSError):
            os.fdatasync(self.file)
            _sync_folder(self.dest.parent)
            self.state_path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self.file)


class Saver:
    """Claims what has arrived, every few seconds, in a thread of its own: flushing can take as long."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._arrived: Callable[[], Spans] = tuple
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="save", daemon=True)
        self._thread.start()

    def follow(self, arrived: Callable[[], Spans]) -> None:
        """Ask ``arrived`` from now on."""
        self._arrived = arrived

    def pause(self) -> None:
        """Claim nothing more until :meth:`follow` is called."""
        self._arrived = tuple

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        claimed: Spans = ()
        while not self._over.wait(SAVE_S):
            arrived = self._arrived()
            if arrived and arrived != claimed:
                self._part.save(arrived)
                claimed = arrived


def settle_earlier(dest: Path, sha256: str) -> None:
    """If ``dest`` got its name but was perhaps never flushed (the power failed), make sure of it or take it away."""
    name = dest.with_name(f"{dest.name}.{sha256[:12] or 'unknown'}.part")
    mark = name.with_name(f"{name.name}.json")
    if not mark.exists() or name.exists() or not dest.is_file():
        return
    with dest.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    if _read(mark).whole != content:
        quarantine(dest, dest, "the machine stopped before all of it was on the disk")
    mark.unlink()


def quarantine(path: Path, dest: Path, why: str) -> Path:
    """Move a file that must not be used into the folder ``.quarantine`` beside ``dest``, with a note; its new place.

    It loses the ending of a model there, so that no program lists it.
    """
    folder = dest.parent / ".quarantine"
    folder.mkdir(exist_ok=True)
    number = 1
    while (target := folder / f"{dest.name}.{number}.damaged").exists():
        number += 1
    path.rename(target)
    target.with_name(f"{target.name}.txt").write_text(f"{timestamps.now()} {dest.name}: {why}\n")
    return target


def _read(path: Path) -> State:
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):
        return State()


def _write(path: Path, state: State, *, flush: bool = True) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(state))
        file.flush()
        if flush:
            os.fsync(file.fileno())
    fresh.replace(path)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
