"""Encoded images and texts on disk, for the next run: one safetensors file an entry, named by what decides its content.

Any number of trainings share one folder. An entry appears in one step and is never changed; one that a crash or the disk
damaged fails its checksum and counts as missing, and so does one that another process has just removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

LIMIT = 32 << 30
"""Bytes that a folder may hold; beyond them the entries that were not used for longest go."""
_CRC = "crc32"
_STALE_S = 3600.0
"""A temporary file of this age belongs to a process that was killed."""


def entry_key(**parts: object) -> str:
    """The name of an entry: SHA-256 over everything that changes its content, by name."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")).hexdigest()


class TensorStore:
    """A folder of entries. It only ever saves time: no failure to write or read one is an error."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder = folder
        self._limit = limit
        self.problem = ""
        """Why entries can't be kept (any more), in one line."""

    def get(self, key: str) -> dict[str, Tensor] | None:
        """The tensors under ``key``, or None; marks them as used."""
        path = self._path(key)
        try:
            content = path.read_bytes()
            start = 8 + int.from_bytes(content[:8], "little")
            header = json.loads(content[8:start])
            if header["__metadata__"][_CRC] != str(zlib.crc32(content[start:])):
                return None
            tensors: dict[str, Tensor] = load(content)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return tensors

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep ``tensors`` under ``key``; where that can't be done, :attr:`problem` says why and nothing is left behind."""
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        content = save(plain)
        crc = zlib.crc32(memoryview(content)[8 + int.from_bytes(content[:8], "little") :])
        content = save(plain, {_CRC: str(crc)})
        path = self._path(key)
        temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            self.problem = f"{self.folder} can't be written ({error.strerror})"
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def trim(self) -> None:
        """Remove what was not used for longest until the rest fits, and what killed processes left half-written."""
        entries = []
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                if path.suffix == ".safetensors":
                    entries.append((status.st_mtime, status.st_size, path))
                elif time.time() - status.st_mtime > _STALE_S:
                    path.unlink(missing_ok=True)
        over = sum(size for _, size, _ in entries) - self._limit
        for _, size, path in sorted(entries):
            if over <= 0:
                return
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                over -= size

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"
