"""One snapshot: a batch without end whose changes rebuild the whole state, behind a line that says what it covers.

Packed with zlib like a batch, as JSON lines, of which the first is ``{"v":1,"covers":{device:number}}``. Neither
writing nor reading holds more than a portion of it in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from hubman.sync.records import batches, layout, state
from hubman.sync.records.incoming import DEVICE
from hubman.sync.records.layout import UnreadableError
from hubman.sync.secrecy.codec import PLAIN
from hubman.sync.session import Session
from hubman.sync.storages.storage import PIECE, Entry
from registry import clock
from registry.changes import Change
from registry.decodable import decodable

PACKED_CAP = 256 << 20
UNPACKED_CAP = 2 << 30
_READ = 1 << 16
_UNPACKED_AT_ONCE = 4 << 20


@decodable
class _Header(msgspec.Struct, frozen=True, kw_only=True):
    v: int
    covers: dict[str, int]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that lies here, whole and within its bounds."""

    path: Path
    covers: dict[str, int]
    """Device to the number of its last batch whose changes are in."""

    def portions(self) -> Iterator[list[Change]]:
        """Its changes, as many at once as a batch has. Raises :class:`UnreadableError`."""
        lines = _lines(self.path)
        next(lines)
        while portion := list(islice(lines, batches.MAX_CHANGES)):
            yield [batches.parse(line) for line in portion]


def write(session: Session, covers: dict[str, int]) -> str | None:
    """Write a snapshot of the state as this transaction sees it; its name, or None where it would be too large."""
    stamp = clock.at_least(0, session.device)
    with tempfile.TemporaryDirectory(prefix="snapshot-", dir=session.registry.home) as folder:
        path = Path(folder) / "stored"
        header = msgspec.json.encode(_Header(v=layout.FORMAT, covers=covers), order="sorted").decode()
        if not _pack(path, header, filter(batches.is_sendable, state.lines(session.db))):
            return None
        if session.codec is not PLAIN:
            path.write_bytes(session.codec.seal(path.read_bytes(), layout.stamped_label(layout.SNAPSHOTS, stamp)))
        with path.open("rb") as file:
            name = f"{stamp}-{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}"
        session.storage.put_stream(layout.SNAPSHOTS + name, _pieces(path), path.stat().st_size)
        return name


@contextlib.contextmanager
def fetched(session: Session, entry: Entry) -> Iterator[Snapshot]:
    """Bring a snapshot here for as long as the block lasts.

    Raises :class:`UnreadableError` when it is not whole, is not what its name says or goes out of bounds.
    """
    name = entry.key.removeprefix(layout.SNAPSHOTS)
    cap = session.codec.cap(PACKED_CAP)
    if entry.size > cap:
        raise UnreadableError(f"snapshot {name[:16]} has {entry.size} bytes")
    with tempfile.TemporaryDirectory(prefix="snapshot-", dir=session.registry.home) as folder:
        path = Path(folder) / "stored"
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for start in range(0, entry.size, PIECE):
                session.stop_if_asked()
                piece = session.storage.read_range(entry.key, start, min(PIECE, entry.size - start))
                digest.update(piece)
                file.write(piece)
        if not name.endswith(digest.hexdigest()[:32]):
            raise UnreadableError(f"snapshot {name[:16]} has not arrived whole")
        if session.codec is not PLAIN:
            label = layout.stamped_label(layout.SNAPSHOTS, layout.stamp_of(name))
            path.write_bytes(session.codec.open(path.read_bytes(), PACKED_CAP, label))
        yield Snapshot(path, _checked(path))


def _pack(path: Path, header: str, lines: Iterable[str]) -> bool:
    packer = zlib.compressobj(6)
    unpacked = packed = 0
    with path.open("wb") as file:
        for line in _with_feeds(header, lines):
            unpacked += len(line)
            packed += file.write(packer.compress(line))
            if max(unpacked - UNPACKED_CAP, packed - PACKED_CAP) > 0:
                return False
        packed += file.write(packer.flush())
    return packed <= PACKED_CAP


def _with_feeds(header: str, lines: Iterable[str]) -> Iterator[bytes]:
    yield header.encode()
    rest = iter(lines)
    while some := list(islice(rest, 1000)):
        yield "".join(f"\n{line}" for line in some).encode()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _checked(path: Path) -> dict[str, int]:
    """Read it to its end once, so that nothing of one that goes out of bounds is applied; what it covers."""
    lines = _lines(path)
    first = next(lines)
    for line in lines:
        if len(line) > batches.LINE_CAP:
            raise UnreadableError(f"a snapshot has a line of {len(line)} bytes")
    try:
        header = msgspec.json.decode(first, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError("a snapshot does not say what it covers") from error
    if header.v > layout.FORMAT:
        raise UnreadableError("a snapshot was written by a newer hubman", "update hubman on this machine")
    if not all(DEVICE.fullmatch(device) and 0 <= seq < 10**10 for device, seq in header.covers.items()):
        raise UnreadableError("a snapshot covers what can't be")
    return header.covers


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a packed file, at least one, within the bounds of a snapshot."""
    cap = min(UNPACKED_CAP, max(path.stat().st_size * batches.RATIO_CAP, batches.MAX_BYTES))
    rest, total = b"", 0
    for data in _unpacked(path):
        total += len(data)
        *whole, rest = (rest + data).split(b"\n")
        if total > cap or len(rest) > batches.LINE_CAP:
            raise UnreadableError("a snapshot unpacks to far more than it should")
        yield from whole
    yield rest


def _unpacked(path: Path) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    try:
        with path.open("rb") as file:
            while piece := file.read(_READ):
                while piece:
                    yield unpacker.decompress(piece, _UNPACKED_AT_ONCE)
                    piece = unpacker.unconsumed_tail
    except zlib.error as error:
        raise UnreadableError("a snapshot can't be unpacked") from error
    if not unpacker.eof:
        raise UnreadableError("a snapshot ends too early")
