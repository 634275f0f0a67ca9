"""A LoRA file written tensor by tensor, which never lies in memory in whole, and is in its place at once or not at all.

The header comes first in a safetensors file, but says what only the end knows: room is left for it, and what it does
not need is spaces, which the format allows.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from hubman.lora.writing import LEGACY_WINDOW, FileDtype, cast, hashes
from registry.errors import DamagedFileError, HubError
from registry.headers import read_header

_CODES: dict[FileDtype, str] = {"fp16": "F16", "bf16": "BF16", "fp32": "F32"}
_SPARE = 8192
"""Bytes for what is known of the metadata only at the end."""
_ENTRY = 100
"""Bytes that the description of a tensor has at most, besides its name."""
_CHUNK = 1 << 24


class StreamedFile:
    """Tensors of one precision, added in the order of their names."""

    def __init__(self, file: BinaryIO, dtype: FileDtype, room: int) -> None:
        self._file, self.dtype = file, dtype
        self._start = 8 + room
        self._file.seek(self._start)
        self._header: dict[str, object] = {}
        self._at = 0
        self.digest = hashlib.sha256()
        """Of the data so far."""
        self._beginning = bytearray()

    def stored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``tensors`` as the file will have them. Raises ``HubError`` for values that are not finite there."""
        return cast(tensors, self.dtype)

    def add(self, name: str, tensor: Tensor) -> None:
        """Write one tensor of the file's precision."""
        data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data
        self._file.write(data)
        self.digest.update(data)
        self._beginning += data[: max(0, LEGACY_WINDOW.stop - len(self._beginning))]
        offsets = [self._at, self._at + len(data)]
        self._header[name] = {"dtype": _CODES[self.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        self._at += len(data)

    def finish(self, entries: Mapping[str, str]) -> None:
        """Write the header with its hashes."""
        digest = self.digest.hexdigest()
        said = {**entries, **hashes(digest, self._legacy_window(entries))}
        text = _json({"__metadata__": said, **self._header})
        room = self._start - 8
        if len(text) > room:
            raise HubError("the header has no room in the file", "write fewer or shorter words into it")
        self._file.seek(0)
        self._file.write(room.to_bytes(8, "little") + text.ljust(room))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _legacy_window(self, entries: Mapping[str, str]) -> bytes:
        """The window's bytes in a file that has only the ``ss_`` entries and no room to spare."""
        plain = {name: value for name, value in entries.items() if name.startswith("ss_")}
        header = _json({"__metadata__": plain, **self._header})
        before = 8 + math.ceil(len(header) / 8) * 8
        whole = bytes(before) if before < LEGACY_WINDOW.start else (b"\0" * 8 + header).ljust(before)
        return (whole + self._beginning)[LEGACY_WINDOW]


def _json(header: Mapping[str, object]) -> bytes:
    return json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()


def room_for(names: Iterable[str], entries: Mapping[str, str]) -> int:
    """Bytes, a multiple of 8, that the header of a file with tensors of these names has at most."""
    most = len(_json(dict(entries))) + sum(len(_json({name: 0})) + _ENTRY for name in names) + _SPARE
    return math.ceil(most / 8) * 8


@contextmanager
def streamed(path: Path, dtype: FileDtype, room: int) -> Iterator[StreamedFile]:
    """Write a file that is at ``path`` once the block has ended well: read back, then put there in one step.

    What a killed process left is written over by the next that writes to ``path``. Raises ``HubError`` where something
    is there already, where another process writes it, or where the disk refuses; ``DamagedFileError`` if it gives back
    other bytes.
    """
    temporary = path.with_name(f".{path.name}.part")
    _refuse_taken(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("ab") as lock, temporary.open("rb+") as file:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HubError(f"{path.name} is being written already", "wait, or name another file") from None
            try:
                file.truncate(0)
                yield (made := StreamedFile(file, dtype, room))
                _read_back(temporary, made)
                _refuse_taken(path)
                temporary.replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise HubError(f"cannot write {path} ({error.strerror})", "check the permissions and the free space") from error


def _refuse_taken(path: Path) -> None:
    if path.exists():
        raise HubError(f"{path} is there already", "name another file with -o")


def _read_back(path: Path, made: StreamedFile) -> None:
    header = read_header(path)
    found = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(8 + header.size)
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    if found.hexdigest() != made.digest.hexdigest():
        raise DamagedFileError(f"{path.name} was written, but reads otherwise", "check the disk, then repeat")
