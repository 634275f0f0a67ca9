"""A remote in a folder: a disk, a network share, or a folder that another program carries between machines.

The folder is not trusted: every step of a path is opened without following links, and only regular files are read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from hubman.sync.storages.storage import Entry, Fetched, RefusedError, StorageError, is_safe, segments

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LEFT_OVER_AFTER = 7 * 24 * 3600
_IGNORE = "(?d).hub-*.tmp"
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}

_DEPTH = 3
"""Folders in each other that keys have at most; what lies deeper is not looked at."""

_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def is_temporary(name: str) -> bool:
    return name.startswith(".hub-") and name.endswith(".tmp")


class FolderStorage:
    """:class:`hubman.sync.storages.storage.Storage` in the folder ``root``, which must exist."""

    concurrency = 8
    """Flushing to a disk is waiting: several files at once share the wait."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lacks_links = False
        """Whether a name had to be created without a link, as on FAT: two that create it at once may both believe it."""

    def get(self, key: str, cap: int) -> Fetched | None:
        with self._reading(key) as file:
            if file is None:
                return None
            size = os.fstat(file).st_size
            if size > cap:
                raise StorageError(f"{self._shown(key)} is longer than the {cap} bytes that it may have")
            return Fetched(_read(file, 0, cap + 1))

    def read_range(self, key: str, start: int, length: int) -> bytes:
        with self._reading(key) as file:
            if file is None:
                raise StorageError(f"{self._shown(key)} is gone", "sync again")
            return _read(file, start, length)

    def size(self, key: str) -> int | None:
        with self._reading(key) as file:
            return None if file is None else os.fstat(file).st_size

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        with self._errors(prefix):
            for key, entry in self._walk(prefix):
                if key > after and entry.is_file(follow_symlinks=False):
                    yield Entry(key, entry.stat(follow_symlinks=False).st_size)

    def put(self, key: str, data: bytes) -> str | None:
        self.put_stream(key, [data], len(data))
        return None

    def create(self, key: str, data: bytes) -> bool:
        with self._errors(key), self._written(key, [data], len(data)) as (folder, temporary, name):
            try:
                os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                # FAT and some shares have no links: what is left is to look first.
                self.lacks_links = True
                if _exists(name, folder):
                    return False
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            _sync(folder)
            return True

    def put_stream(self, key: str, pieces: Iterable[bytes], size: int) -> None:
        with self._errors(key), self._written(key, pieces, size) as (folder, temporary, name):
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            _sync(folder)

    def delete(self, key: str) -> None:
        *folders, name = segments(key)
        with self._errors(key), contextlib.suppress(FileNotFoundError), self._folder(folders) as folder:
            os.unlink(name, dir_fd=folder)
            _sync(folder)

    def url(self, key: str, seconds: int) -> str | None:  # noqa: ARG002 - others need it
        """None: a folder has paths."""
        return None

    def path(self, key: str) -> Path:
        """Where the object lies."""
        return self.root.joinpath(*segments(key))

    def keep_temporary_files_here(self) -> None:
        """Tell Syncthing not to carry half-written files."""
        path = self.root / ".stignore"
        lines = path.read_text(errors="replace").splitlines() if path.is_file() and not path.is_symlink() else []
        if _IGNORE not in lines:
            temporary = path.with_name(f".hub-{secrets.token_hex(8)}.tmp")
            temporary.write_text("\n".join([*lines, _IGNORE, ""]))
            temporary.replace(path)

    def remove_leftovers(self) -> None:
        """Delete the half-written files of syncs that were killed over a week ago."""
        with self._errors(""):
            for key, entry in self._walk(""):
                *folders, name = key.split("/")
                if is_temporary(name) and entry.stat(follow_symlinks=False).st_mtime < time.time() - _LEFT_OVER_AFTER:
                    with self._folder(folders) as folder, contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder)

    @contextlib.contextmanager
    def _folder(self, names: list[str], *, create: bool = False) -> Iterator[int]:
        """A handle on a folder under the root, reached without following links."""
        # The root itself may be a link: the person named it.
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names:
                inner = _open_folder(name, handle, create=create)
                os.close(handle)
                handle = inner
            yield handle
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _reading(self, key: str) -> Iterator[int | None]:
        *folders, name = segments(key)
        with self._errors(key), contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(self._folder(folders))
                file = os.open(name, _READ, dir_fd=folder)
            except FileNotFoundError:
                self._need_root()
                yield None
                return
            stack.callback(os.close, file)
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise StorageError(f"{self._shown(key)} is no regular file", "remove it from the remote")
            yield file

    @contextlib.contextmanager
    def _written(self, key: str, pieces: Iterable[bytes], size: int) -> Iterator[tuple[int, str, str]]:
        """(folder, temporary name, name) with the bytes safely under the temporary name, which is gone afterwards."""
        *folders, name = segments(key)
        temporary = f".hub-{secrets.token_hex(8)}.tmp"
        with self._folder(folders, create=True) as folder:
            try:
                _write(temporary, folder, pieces, size)
                yield folder, temporary, name
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)

    def _walk(self, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Every non-folder under ``prefix``; folders that are links are not entered."""
        try:
            with self._folder([part for part in prefix.split("/") if part]) as folder, os.scandir(folder) as entries:
                inner: list[str] = []
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        inner.append(entry.name)
                    else:
                        yield prefix + entry.name, entry
        except FileNotFoundError:
            self._need_root()
            return
        for name in inner if prefix.count("/") < _DEPTH else ():
            if is_safe(name):
                yield from self._walk(f"{prefix}{name}/")

    def _need_root(self) -> None:
        """Tell "not in the folder" from "the folder is not there": an unplugged disk is not an empty one."""
        if not self.root.is_dir():
            raise StorageError(f"{self.root} is not there", "plug in or mount the disk that it lies on")

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._need_root()
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise StorageError(f"{self._shown(key)} is or follows a link", "remove it from the remote") from error
            if error.errno in _FULL:
                raise StorageError(f"{self.root} is full", "make room there, then sync again") from error
            kind = RefusedError if error.errno in _REFUSED else StorageError
            raise kind(
                f"{self._shown(key)} can't be used ({error.strerror or error})",
                "may you read and write there?",
            ) from error

    def _shown(self, key: str) -> str:
        return str(self.root / key)


def _open_folder(name: str, parent: int, *, create: bool) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        if not create:
            raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
            _sync(parent)
        return os.open(name, _DIRECTORY, dir_fd=parent)


def _sync(folder: int) -> None:
    """Make names in a folder last; some network shares and FUSE can't, and say so."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _read(file: int, start: int, length: int) -> bytes:
    pieces: list[bytes] = []
    while length > 0 and (piece := os.pread(file, min(length, 1 << 20), start)):
        pieces.append(piece)
        start += len(piece)
        length -= len(piece)
    return b"".join(pieces)


def _write(name: str, folder: int, pieces: Iterable[bytes], size: int) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder)
    written = 0
    with open(file, "wb", buffering=0) as stream:  # noqa: PTH123 - from a handle
        for piece in pieces:
            view = memoryview(piece)
            while view:
                count = stream.write(view) or 0
                view = view[count:]
                written += count
        if written != size:
            raise StorageError(f"{written} bytes came where {size} were expected", "scan, then sync again")
        os.fsync(stream.fileno())
