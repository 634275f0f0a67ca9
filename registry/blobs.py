"""Previews and samples by content: ``<home>/blobs/<first two digits>/<sha256>``, written once and never changed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
from pathlib import Path
from typing import BinaryIO

from registry import ids
from registry.database import Registry
from registry.errors import HubError, NotFoundError
from registry.regular import open_regular

_CHUNK = 1 << 20


def path_of(registry: Registry, sha256: str) -> Path:
    """Where a blob lies or would lie. Raises :class:`NotFoundError` for what is no hash, so that no name escapes."""
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise NotFoundError(f"{sha256!r} names no picture", "a blob is named by 64 lower-case hex digits")
    return registry.blobs / sha256[:2] / sha256


def find(registry: Registry, sha256: str) -> Path:
    """The file of a blob. Raises :class:`NotFoundError` when it is not on this machine."""
    path = path_of(registry, sha256)
    if not path.is_file():
        raise NotFoundError(f"picture {sha256[:12]} is not on this machine", "hubman sync fetches it")
    return path


def store(registry: Registry, source: Path, *, durable: bool = True) -> str:
    """Copy a file into the store; returns its SHA-256. Storing it again changes nothing. Raises :class:`HubError`.

    Not ``durable`` is several times faster and may lose the copy in a power cut: for what can be read again.
    """
    try:
        with open_regular(source) as stream:
            return _store(registry, stream, durable=durable)
    except OSError as error:
        raise HubError(f"{source} can't be kept ({error.strerror})", "check the path and the free space") from error


def store_bytes(registry: Registry, content: bytes, *, durable: bool = True) -> str:
    """Like :func:`store`, for what is already in memory."""
    try:
        return _store(registry, io.BytesIO(content), durable=durable)
    except OSError as error:
        raise HubError(f"{registry.blobs} can't be written ({error.strerror})", "check the free space") from error


def _store(registry: Registry, stream: BinaryIO, *, durable: bool) -> str:
    registry.blobs.mkdir(parents=True, exist_ok=True)
    temporary = registry.blobs / f".{ids.new_id()}.part"
    digest = hashlib.sha256()
    try:
        with temporary.open("wb") as copy:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
            if durable:
                copy.flush()
                os.fsync(copy.fileno())
        target = path_of(registry, digest.hexdigest())
        target.parent.mkdir(exist_ok=True)
        temporary.replace(target)
        if durable:
            sync_folder(target.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
