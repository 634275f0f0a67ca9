"""What the weights of a part of a base model are, told from its files without loading them into a model."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hubman.train.files import write_atomically
from registry.errors import DamagedFileError, HubError

_CHUNK = 8 << 20
_READ = frozenset({".safetensors", ".json", ".txt", ".model"})


@dataclass(frozen=True)
class Source:
    """Where a part's weights stand: a folder, or the tensors of a file whose names begin with one of ``prefixes``."""

    path: Path
    prefixes: tuple[str, ...] = ("",)


class Digests:
    """Digests by source, remembered in a file as long as size and time of what was read stay the same."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, str] | None = None

    def of(self, sources: Sequence[Source]) -> str:
        """SHA-256 over the content of ``sources``. Raises DamagedFileError for a file that can't be read."""
        return hashlib.sha256("".join(self._one(source) for source in sources).encode()).hexdigest()

    def _one(self, source: Source) -> str:
        files = _files(source)
        try:
            seen = [(str(path.absolute()), (status := path.stat()).st_size, status.st_mtime_ns) for path in files]
            mark = hashlib.sha256(json.dumps([seen, source.prefixes]).encode()).hexdigest()
            known = self._remembered()
            if mark not in known:
                known[mark] = _digest(files, source)
                self._remember()
        except (OSError, ValueError, KeyError) as error:
            raise DamagedFileError(
                f"{source.path.name} can't be read ({error})", "copy the base model again"
            ) from error
        return known[mark]

    def _remembered(self) -> dict[str, str]:
        if self._known is None:
            self._known = {}
            with contextlib.suppress(OSError, ValueError, AttributeError):
                content = json.loads(self._memory.read_bytes())
                self._known = {mark: digest for mark, digest in content.items() if isinstance(digest, str)}
        return self._known

    def _remember(self) -> None:
        # A full disk only makes the next start slower.
        with contextlib.suppress(HubError):
            write_atomically(self._memory, json.dumps(self._known).encode())


def _files(source: Source) -> list[Path]:
    if source.path.is_file():
        return [source.path]
    return sorted(path for path in source.path.rglob("*") if path.suffix in _READ and path.is_file())


def _digest(files: Sequence[Path], source: Source) -> str:
    digest = hashlib.sha256()
    if source.path.is_file() and source.path.suffix == ".safetensors":
        _tensors(source, digest)
        return digest.hexdigest()
    for path in files:
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _tensors(source: Source, digest: hashlib._Hash) -> None:
    """Name, type, shape and bytes of each chosen tensor, by name: the rest of the file does not count."""
    with source.path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > source.path.stat().st_size:
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(size))
        for name in sorted(header):
            if name == "__metadata__" or not name.startswith(source.prefixes):
                continue
            entry = header[name]
            begin, end = entry["data_offsets"]
            digest.update(json.dumps([name, entry["dtype"], entry["shape"]]).encode())
            file.seek(8 + size + begin)
            for position in range(begin, end, _CHUNK):
                digest.update(file.read(min(_CHUNK, end - position)))
